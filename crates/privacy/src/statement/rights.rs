//! What people can ask for, and what keeps their data safe until it goes.

use super::{Block, Section, Text, Writer};
use crate::words::Language;

impl Writer<'_> {
    pub(super) fn rights(&self) -> Section {
        let list = Block::List(vec![
            self.say(
                "See what is held about you, as a file that programs can read, with whom it was given to (GDPR, Articles 15 and 20; \
                 PIPA, Articles 35 and 35-2).",
                "개인정보의 열람 및 전송 요구: 기계 판독이 가능한 형식으로 보유 항목과 제공 내역을 받을 수 있습니다(개인정보 보호법 제35조, \
                 제35조의2, GDPR 제15조, 제20조).",
            ),
            self.say(
                "Have it corrected (GDPR, Article 16; PIPA, Article 36).",
                "개인정보의 정정 요구(개인정보 보호법 제36조, GDPR 제16조)",
            ),
            self.say(
                "Have it erased (GDPR, Article 17; PIPA, Article 36). Contacts go at once. What has to stay is named to you, field by \
                 field, with the reason in law: records of issuance stay for their time above, IP addresses included.",
                "개인정보의 삭제 요구(개인정보 보호법 제36조, GDPR 제17조): 연락처는 즉시 삭제합니다. 보존하여야 하는 항목은 항목별로 그 법적 \
                 근거를 알려 드립니다. 발급 기록은 IP 주소를 포함하여 위의 보유 기간 동안 보존합니다.",
            ),
            self.say(
                "Object, have use stopped, and withdraw consent (GDPR, Articles 7(3), 18 and 21; PIPA, Article 37).",
                "처리정지 요구 및 동의 철회(개인정보 보호법 제37조, GDPR 제7조제3항, 제18조, 제21조)",
            ),
            self.say(
                "Be told once a year what is held, for what, and who received it (PIPA, Article 20-2).",
                "개인정보 이용·제공 내역의 연 1회 이상 통지(개인정보 보호법 제20조의2)",
            ),
        ]);
        let mut how = Vec::new();
        if let Some(by_acme) = &self.facts.contacts.by_acme {
            let at = |url: &String| Text::plain(url.as_str());
            how.push((
                self.say("By ACME, signed by the account's key", "ACME 요청(계정 키로 서명)"),
                vec![at(&by_acme.report), at(&by_acme.erase)],
            ));
        }
        let mut by_hand = Vec::new();
        if let Some(officer) = &self.facts.officer {
            by_hand.extend(
                officer
                    .email
                    .as_ref()
                    .map(|email| Text { words: email.clone(), link: Some(format!("mailto:{email}")) }),
            );
            by_hand
                .extend(officer.url.as_ref().map(|url| Text { words: url.clone(), link: Some(url.clone()) }));
            by_hand.extend(officer.phone.as_ref().map(|phone| Text::plain(phone.as_str())));
        }
        if by_hand.is_empty() {
            by_hand.push(Text::plain(self.operator()));
        }
        how.push((self.say("By asking the operator", "운영자에게 요청"), by_hand));
        let shown = self.text(
            "You show who you are by a signature of your account's key, or by answering at the contact address. A representative \
             can ask for you with a power of attorney. Asking costs nothing. You hear from us within ten days (PIPA) and in any case \
             within a month (GDPR, Article 12(3)).",
            "계정 키에 의한 서명 또는 등록된 연락처로 본인임을 확인합니다. 법정대리인이나 위임을 받은 자는 위임장을 제출하여 권리를 행사할 수 \
             있습니다. 비용은 없으며, 요구를 받은 날부터 10일 이내에(GDPR 제12조제3항에 따라 늦어도 1개월 이내에) 결과를 알려 드립니다.",
        );
        self.section(
            "rights",
            "What you can ask for, and how",
            "7. 정보주체와 법정대리인의 권리·의무 및 그 행사 방법",
            vec![list, Block::Pairs(how), shown],
        )
    }

    pub(super) fn destruction(&self) -> Section {
        let list = Block::List(vec![
            self.say(
                "Records lie in segments of one class and one period each, and go as a whole when the time of the last of them is over.",
                "기록은 구분 및 기간별 단위로 보관하며, 그 단위에 속한 마지막 기록의 보유 기간이 끝나면 단위 전체를 파기합니다.",
            ),
            self.say(
                "What is encrypted goes by the destruction of its key, and then of its file, so that nothing of it can be recovered.",
                "암호화된 정보는 암호 키를 먼저 파기하고 이어서 파일을 삭제하여 복원할 수 없도록 합니다.",
            ),
            self.say(
                "Each deletion leaves a receipt, without the data. A hold for a named case puts it off, with owner, reason and end date.",
                "파기 시마다 개인정보를 포함하지 않는 파기 기록을 남깁니다. 특정 사건을 위한 보존 조치가 있는 경우에는 책임자, 사유, 종료일을 \
                 정하여 파기를 연기합니다.",
            ),
        ]);
        self.section("destruction", "How data is destroyed", "8. 개인정보의 파기 절차 및 방법", vec![list])
    }

    pub(super) fn safety(&self) -> Section {
        let list = Block::List(vec![
            self.say(
                "Contacts and logged requests are encrypted, under keys that lie apart from them.",
                "연락처와 상태 조회 기록은 분리하여 보관하는 키로 암호화합니다.",
            ),
            self.say(
                "Access goes by roles. Who gets, changes or loses one, and who reads personal data and why, is on record.",
                "역할에 따라 접근 권한을 부여하고, 권한의 부여·변경·말소와 개인정보 조회 내역 및 사유를 기록합니다.",
            ),
            self.say(
                "Records are chained: nobody can change, drop or reorder one unseen.",
                "기록은 해시 사슬로 연결되어 위조·변조, 삭제, 순서 변경이 드러납니다.",
            ),
            self.say(
                "Requests to the CA and its operators come over TLS alone, or over a local socket.",
                "인증기관 및 운영자에 대한 요청은 TLS 또는 로컬 소켓으로만 받습니다.",
            ),
        ]);
        self.section("safety", "What keeps data safe", "9. 개인정보의 안전성 확보조치", vec![list])
    }

    pub(super) fn cookies(&self) -> Section {
        let none = self.text(
            "No page of this CA sets a cookie, runs a script, or loads anything from anybody else. There is nothing to refuse.",
            "이 인증기관의 웹 페이지는 쿠키를 설치하지 않고 스크립트를 실행하지 않으며 제3자의 자원을 불러오지 않습니다. 따라서 거부할 대상이 \
             없습니다.",
        );
        self.section(
            "cookies",
            "Cookies and trackers",
            "10. 개인정보 자동 수집 장치의 설치·운영 및 거부",
            vec![none],
        )
    }

    pub(super) fn remedies(&self) -> Section {
        let mut blocks = vec![self.text(
            "You can complain to a supervisory authority (GDPR, Article 77; PIPA, Article 62), that of the country in which you live \
             among them, and go to court.",
            "정보주체는 개인정보 침해로 인한 구제를 받기 위하여 다음의 기관에 분쟁 해결이나 상담 등을 신청할 수 있으며, 법원에 소를 제기할 수 \
             있습니다(개인정보 보호법 제62조, GDPR 제77조).",
        )];
        if self.facts.authorities.is_empty() {
            blocks.push(
                self.text(
                    "The operator has named no authority.",
                    "운영자가 별도로 안내하는 기관은 없습니다.",
                ),
            );
        } else {
            let pair = |authority: &crate::Authority| {
                let korean = authority.name_ko.as_ref().filter(|_| self.language == Language::Ko);
                let mut told: Vec<Text> = authority
                    .url
                    .iter()
                    .map(|url| Text { words: url.clone(), link: Some(url.clone()) })
                    .collect();
                told.extend(authority.phone.as_ref().map(|phone| Text::plain(phone.as_str())));
                if told.is_empty() {
                    told.push(Text::plain(authority.name.as_str()));
                }
                (korean.unwrap_or(&authority.name).clone(), told)
            };
            blocks.push(Block::Pairs(self.facts.authorities.values().map(pair).collect()));
        }
        self.section("remedies", "Where to complain", "12. 권익침해에 대한 구제 방법", blocks)
    }
}
