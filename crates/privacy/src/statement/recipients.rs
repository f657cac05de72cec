//! Who else gets to see data.

use super::{Block, Section, Writer};
use crate::config::Processor;
use crate::words::{Language, thousands};

impl Writer<'_> {
    pub(super) fn recipients(&self) -> Section {
        let (shared, language) = (&self.facts.shared, self.language);
        let mut to = Vec::new();
        to.push(if shared.certificate_transparency {
            self.say(
                "Public transparency logs: certificates with all the names in them, for everybody and for ever. Browsers ask for that.",
                "공개 인증서 투명성(CT) 로그: 인증서와 그에 포함된 모든 이름이 누구에게나 영구히 공개됩니다. 웹 브라우저가 이를 요구합니다.",
            )
        } else {
            self.say(
                "Transparency logs: none. Certificates are not published there.",
                "인증서 투명성(CT) 로그: 공개하지 않습니다.",
            )
        });
        if shared.certificates_by_get {
            to.push(self.say(
                "Whoever has the URL of a certificate can fetch it.",
                "인증서의 URL을 아는 사람은 누구나 해당 인증서를 받을 수 있습니다.",
            ));
        }
        to.push(self.say(
            "Whoever asks for the status of a certificate by its serial number: whether it is revoked, since when and why.",
            "인증서 일련번호로 상태를 조회하는 사람: 폐지 여부, 폐지 시각 및 사유",
        ));
        if shared.remote_perspectives > 0 {
            let count = thousands(u64::try_from(shared.remote_perspectives).unwrap_or(u64::MAX));
            to.push(match language {
                Language::En => format!(
                    "{count} remote perspectives, which look at a name from elsewhere: the name, what has to be found there, and \
                     the account's URL where a record names it."
                ),
                Language::Ko => format!(
                    "다른 위치에서 도메인을 확인하는 원격 확인 지점 {count}곳: 도메인 이름, 확인하여야 할 값, 레코드가 계정을 지정하는 \
                     경우 그 계정 URL"
                ),
            });
        }
        to.push(self.say(
            "Servers of the names that are validated, which see what the CA asks them.",
            "확인 대상 도메인의 서버: 인증기관이 보내는 확인 요청",
        ));
        let demand = self.text(
            "Everything else leaves only with your consent, or on a legal demand that is recorded as a case: who asked, on what \
             basis, and what was given. You are told before, unless that is forbidden or futile; if it is forbidden, you are told \
             when the ban ends. Improper demands can be objected to. Twice a year, demands are counted in a report.",
            "그 밖의 개인정보는 정보주체의 동의가 있거나 적법한 요구가 사건으로 기록된 경우에만 제공하며, 요구자, 근거, 제공 항목을 기록합니다. \
             통지가 금지되거나 무의미한 경우를 제외하고는 제공 전에 정보주체에게 통지하고, 통지가 금지된 경우에는 금지가 끝나는 때에 \
             통지합니다. 부당한 요구에는 이의를 제기할 수 있으며, 요구 건수를 연 2회 보고서로 집계합니다.",
        );
        let transfer = self.text(
            "If the business is handed on, you are told before your data moves.",
            "영업의 양도 등으로 개인정보를 이전하는 경우에는 이전하기 전에 정보주체에게 알립니다.",
        );
        self.section(
            "recipients",
            "Who gets to see data",
            "5. 개인정보의 제3자 제공 및 공개",
            vec![Block::List(to), demand, transfer],
        )
    }

    pub(super) fn entrusted(&self) -> Section {
        let (id, english, korean) =
            ("processors", "Companies that work for us", "6. 개인정보 처리업무의 위탁 및 국외 이전");
        if self.facts.processors.is_empty() {
            let none = self.text(
                "No company is entrusted with data, and none goes to another country on its behalf.",
                "개인정보 처리업무를 위탁하지 않으며, 위탁에 따라 국외로 이전하는 개인정보가 없습니다.",
            );
            return self.section(id, english, korean, vec![none]);
        }
        let rows = self.facts.processors.values().map(|processor| self.processor(processor));
        let table = Block::Table {
            label: self.say("Companies that work for us", "수탁자"),
            heads: vec![
                self.say("Company", "수탁자"),
                self.say("For what", "위탁 업무"),
                self.say("Which data", "처리 항목"),
                self.say("In which country", "처리 국가"),
                self.say("Until when", "위탁 기간"),
            ],
            rows: rows.collect(),
        };
        let bound = self.text(
            "They may use data for that and for nothing else, have to keep it as safe as we do, and are looked at.",
            "수탁자는 위탁 업무 외의 목적으로 개인정보를 처리할 수 없으며, 「개인정보 보호법」 제26조에 따라 안전성 확보조치, 재위탁 제한, \
             관리·감독 등을 계약으로 정하고 감독합니다.",
        );
        self.section(id, english, korean, vec![table, bound])
    }

    fn processor(&self, processor: &Processor) -> Vec<String> {
        let own = |korean: &Option<String>, plain: Option<&String>| {
            korean.as_ref().filter(|_| self.language == Language::Ko).or(plain).cloned()
        };
        vec![
            processor.name.clone(),
            own(&processor.purpose_ko, Some(&processor.purpose)).unwrap_or_default(),
            own(&processor.items_ko, processor.items.as_ref())
                .unwrap_or_else(|| self.say("what that needs", "해당 업무에 필요한 항목")),
            processor.country.clone().unwrap_or_else(|| self.say("that of the operator", "국내")),
            processor
                .until
                .clone()
                .unwrap_or_else(|| self.say("as long as the contract lasts", "위탁 계약 종료 시까지")),
        ]
    }
}
