//! The words of the page: facts in, sections out. The sections and their order are those that Korea's Personal Information
//! Protection Act asks for (PIPA, Article 30(1), and Article 31 of its Enforcement Decree), which cover what the GDPR asks
//! for (Articles 13 and 14).

mod recipients;
mod rights;

use ingam_protocol::record::Class;
use serde::Serialize;

use crate::config::Contact;
use crate::facts::{Facts, Kept};
use crate::words::{Language, thousands};

/// Everything that the page says but for its versions, in one language.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Statement {
    pub(crate) language: Language,
    pub(crate) title: String,
    /// Who says it, and about what.
    pub(crate) lead: String,
    pub(crate) sections: Vec<Section>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Section {
    pub(crate) id: &'static str,
    pub(crate) heading: String,
    pub(crate) blocks: Vec<Block>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Block {
    Text(String),
    List(Vec<String>),
    /// Names and what belongs to them.
    Pairs(Vec<(String, Vec<Text>)>),
    /// Heads of columns, and rows; the first cell of a row names it.
    Table {
        label: String,
        heads: Vec<String>,
        rows: Vec<Vec<String>>,
    },
}

/// Words, perhaps with a link.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Text {
    pub(crate) words: String,
    pub(crate) link: Option<String>,
}

impl Text {
    pub(crate) fn plain(words: impl Into<String>) -> Self {
        Self { words: words.into(), link: None }
    }
}

impl Statement {
    pub(crate) fn new(facts: &Facts, language: Language) -> Self {
        let writer = Writer { facts, language };
        let name = writer.operator();
        let title = match language {
            Language::En => format!("Privacy statement of {name}"),
            Language::Ko => format!("{name} 개인정보 처리방침"),
        };
        let lead = match language {
            Language::En => format!(
                "This page says which data about people the certificate authority at {} keeps, why, for how long, and what \
                 you can ask for. It is made from the configuration that is running now.",
                facts.service
            ),
            Language::Ko => format!(
                "{name}은(는) 「개인정보 보호법」 제30조에 따라 정보주체의 개인정보를 보호하고 이와 관련한 고충을 신속하고 원활하게 \
                 처리하기 위하여 {} 인증기관의 개인정보 처리방침을 다음과 같이 수립·공개합니다. 이 방침은 현재 실행 중인 설정으로부터 \
                 자동으로 작성됩니다.",
                facts.service
            ),
        };
        let sections = vec![
            writer.purposes(),
            writer.periods(),
            writer.requests(),
            writer.contacts(),
            writer.recipients(),
            writer.entrusted(),
            writer.rights(),
            writer.destruction(),
            writer.safety(),
            writer.cookies(),
            writer.officer(),
            writer.remedies(),
        ];
        Self { language, title, lead, sections }
    }
}

/// Facts, and the language in which they are told.
struct Writer<'a> {
    facts: &'a Facts,
    language: Language,
}

impl Writer<'_> {
    /// One of two texts.
    fn say(&self, english: &'static str, korean: &'static str) -> String {
        self.language.of(english, korean).to_owned()
    }

    fn section(
        &self,
        id: &'static str,
        english: &'static str,
        korean: &'static str,
        blocks: Vec<Block>,
    ) -> Section {
        Section { id, heading: self.say(english, korean), blocks }
    }

    fn text(&self, english: &'static str, korean: &'static str) -> Block {
        Block::Text(self.say(english, korean))
    }

    fn operator(&self) -> String {
        let operator = &self.facts.operator;
        let korean = operator.name_ko.as_ref().filter(|_| self.language == Language::Ko);
        korean.or(operator.name.as_ref()).unwrap_or(&self.facts.service).clone()
    }

    /// The classes that this configuration makes records of.
    fn classes(&self) -> impl Iterator<Item = (Class, &Kept)> {
        self.facts.classes.iter().filter(|(_, kept)| kept.in_use).map(|(class, kept)| (*class, kept))
    }

    fn purposes(&self) -> Section {
        let language = self.language;
        let row = |(class, kept): (Class, &Kept)| {
            let purposes: Vec<&str> =
                kept.purposes.iter().map(|purpose| language.purpose(*purpose)).collect();
            vec![
                language.class(class).to_owned(),
                purposes.join(language.of("; ", ", ")),
                language.basis(kept.basis).to_owned(),
            ]
        };
        let table = Block::Table {
            label: self.say("Purposes", "처리 목적"),
            heads: vec![
                self.say("Records", "구분"),
                self.say("What they are for", "처리 목적"),
                self.say("By what right", "처리 근거"),
            ],
            rows: self.classes().map(row).collect(),
        };
        let nothing_else = self.text(
            "Data is used for what follows, and for nothing else. There is no advertising, no profile of anybody and no decision by a machine about a \
             person. Before data is used for another purpose, consent is asked for anew, and the list of changes below says so.",
            "개인정보는 다음의 목적 외의 용도로 이용하지 않으며, 광고, 프로파일링, 개인에 대한 자동화된 결정에 이용하지 않습니다. 처리 \
             목적이 변경되는 경우에는 미리 별도의 동의를 받으며, 그 사실을 아래의 변경 이력에 밝힙니다.",
        );
        self.section("purposes", "What data is for", "1. 개인정보의 처리 목적", vec![nothing_else, table])
    }

    fn periods(&self) -> Section {
        let language = self.language;
        let row = |(class, kept): (Class, &Kept)| {
            vec![language.class(class).to_owned(), language.items(class).to_owned(), self.kept(class, kept)]
        };
        let table = Block::Table {
            label: self.say("What is kept, and for how long", "처리 항목 및 보유 기간"),
            heads: vec![
                self.say("Records", "구분"),
                self.say("What is in them", "처리 항목"),
                self.say("How long, now", "보유 및 이용 기간"),
            ],
            rows: self.classes().map(row).collect(),
        };
        let counted = self.text(
            "Time counts from the record. What is about something that ends, such as a certificate, stays until two years past \
             that end where that is later.",
            "보유 기간은 기록 시점부터 기산합니다. 인증서와 같이 종료 시점이 있는 대상에 관한 기록은 그 종료 후 2년이 되는 날이 더 늦은 \
             경우 그때까지 보유합니다.",
        );
        let mut blocks = vec![table, counted];
        let unused: Vec<&str> = self
            .facts
            .classes
            .iter()
            .filter(|(_, kept)| !kept.in_use)
            .map(|(class, _)| language.class(*class))
            .collect();
        if !unused.is_empty() {
            blocks.push(Block::Text(match language {
                Language::En => format!("Not made by this service today: {}.", unused.join(", ")),
                Language::Ko => format!("현재 이 서비스에서 처리하지 않는 기록: {}.", unused.join(", ")),
            }));
        }
        self.section(
            "periods",
            "What is kept, and for how long",
            "2. 처리하는 개인정보의 항목과 보유 및 이용 기간",
            blocks,
        )
    }

    /// How long a class is kept, in a sentence.
    fn kept(&self, class: Class, kept: &Kept) -> String {
        let language = self.language;
        match class {
            Class::Contact => {
                return self.say(
                    "until you withdraw it, the account is closed, or the purpose is over",
                    "동의 철회, 계정 해지 또는 처리 목적 달성 시까지",
                );
            }
            Class::Investigation => {
                return self.say(
                    "until the case closes; its end has to be renewed by hand",
                    "사건 종결 시까지(종료일은 담당자가 직접 연장하여야 함)",
                );
            }
            Class::Aggregate => {
                return self.say("without an end: it is about no person", "기간 제한 없음(개인정보가 아님)");
            }
            _ => {}
        }
        let span = |seconds: Option<u64>| seconds.map(|seconds| language.span(seconds));
        let (keep, floor, ceiling) = (span(kept.keep_s), span(kept.floor_s), span(kept.ceiling_s));
        let mut bounds = Vec::new();
        if let Some(floor) = floor.as_ref().filter(|floor| keep.as_ref() != Some(floor)) {
            bounds.push(match language {
                Language::En => format!("at least {floor}"),
                Language::Ko => format!("최소 {floor}"),
            });
        }
        if let Some(ceiling) = ceiling.as_ref().filter(|ceiling| keep.as_ref() != Some(ceiling)) {
            bounds.push(match language {
                Language::En => format!("at most {ceiling}"),
                Language::Ko => format!("최대 {ceiling}"),
            });
        }
        let bounds = bounds.join(language.of(", ", ", "));
        match (keep, bounds.is_empty()) {
            (Some(keep), true) => keep,
            (Some(keep), false) => format!("{keep} ({bounds})"),
            (None, false) => bounds,
            (None, true) => self.say("no end is set", "기간 제한 없음"),
        }
    }

    fn requests(&self) -> Section {
        let (log, language) = (&self.facts.request_log, self.language);
        let keep = language.span(log.keep_s);
        let mode = match (log.mode.as_str(), language) {
            ("full", Language::En) => format!(
                "The mode is full: the IP address, what the browser calls itself, the serial number asked for, the time and the \
                 answer are written down, encrypted, and destroyed after {keep}, key first."
            ),
            ("full", Language::Ko) => format!(
                "기록 방식은 full입니다. IP 주소, 사용자 에이전트, 조회한 일련번호, 시각, 응답을 암호화하여 기록하고, {keep}이 지나면 \
                 암호 키부터 파기합니다."
            ),
            ("truncated", Language::En) => format!(
                "The mode is truncated: before anything is written down, addresses are cut to their network (24 bits of IPv4, 48 of \
                 IPv6) and the user agent to a kind of client. What is left is encrypted, and destroyed after {keep}."
            ),
            ("truncated", Language::Ko) => format!(
                "기록 방식은 truncated입니다. 저장하기 전에 IP 주소를 네트워크 단위(IPv4 24비트, IPv6 48비트)로 절단하고 사용자 \
                 에이전트를 클라이언트 종류로 줄이며, 남은 정보는 암호화하여 {keep} 동안만 보유합니다."
            ),
            (_, Language::En) => {
                "The mode is off: nothing is written down of who asks for the status of a certificate."
                    .to_owned()
            }
            (_, Language::Ko) => {
                "기록 방식은 off입니다. 인증서 상태를 누가 조회하였는지 일절 기록하지 않습니다.".to_owned()
            }
        };
        let joined = self.text(
            "These requests are never joined to a person, an account or a profile, and are never in a backup.",
            "이 요청은 개인, 계정 또는 프로파일과 결합하지 않으며 백업에 포함하지 않습니다.",
        );
        let mut blocks = vec![Block::Text(mode), joined];
        if log.counts && log.mode != "off" {
            let least = thousands(log.count_min);
            blocks.push(Block::Text(match language {
                Language::En => format!(
                    "Hours are counted without people. No count below {least} is told by itself."
                ),
                Language::Ko => format!(
                    "시간대별로 개인을 알아볼 수 없는 통계를 작성하며, {least} 미만의 수치는 별도로 표시하지 않습니다."
                ),
            }));
        }
        self.section(
            "requests",
            "If you only check a certificate",
            "3. 인증서 상태 조회(OCSP) 이용자의 정보",
            blocks,
        )
    }

    fn contacts(&self) -> Section {
        let (contacts, language) = (&self.facts.contacts, self.language);
        if !contacts.taken {
            let none = self.text(
                "This service takes no contacts: an account is a public key and nothing else.",
                "이 서비스는 연락처를 수집하지 않습니다. 계정은 공개키만으로 이루어집니다.",
            );
            return self.section("contacts", "If you have an account", "4. 계정 이용자의 연락처", vec![none]);
        }
        let optional = match language {
            Language::En => format!(
                "Contacts are optional: an account works without one. It may have {} at most. They are never published.",
                thousands(u64::try_from(contacts.count_max).unwrap_or(u64::MAX))
            ),
            Language::Ko => format!(
                "연락처의 제공은 선택 사항이며 제공하지 않아도 계정을 이용할 수 있습니다. 계정당 최대 {}개까지 등록할 수 있으며 공개하지 \
                 않습니다.",
                thousands(u64::try_from(contacts.count_max).unwrap_or(u64::MAX))
            ),
        };
        let sealed = self.text(
            "They are sealed with AES-256-GCM under a key of your own, which lies apart from the database and from backups. \
             Erasing them destroys that key: nobody can read them again, backups included.",
            "연락처는 데이터베이스 및 백업과 분리하여 보관하는 정보주체별 키로 AES-256-GCM 암호화하여 저장합니다. 삭제 시 그 키를 \
             파기하므로 백업을 포함하여 어디에서도 복원할 수 없습니다.",
        );
        let mut blocks = vec![Block::Text(optional), sealed];
        if contacts.purposes.is_empty() {
            blocks.push(self.text("No mail is sent to them.", "연락처로 알림을 발송하지 않습니다."));
        } else {
            blocks.push(self.text("Mail is sent only for:", "다음의 경우에만 알림을 발송합니다."));
            let purpose = |purpose| language.contact_purpose(purpose).to_owned();
            blocks.push(Block::List(contacts.purposes.iter().copied().map(purpose).collect()));
        }
        self.section("contacts", "If you have an account", "4. 계정 이용자의 연락처", blocks)
    }

    fn contact(&self, label: String, contact: &Contact) -> (String, Vec<Text>) {
        let korean = contact.name_ko.as_ref().filter(|_| self.language == Language::Ko);
        let mut told = vec![Text::plain(korean.unwrap_or(&contact.name))];
        told.extend(
            contact
                .email
                .as_ref()
                .map(|email| Text { words: email.clone(), link: Some(format!("mailto:{email}")) }),
        );
        told.extend(contact.phone.as_ref().map(|phone| Text::plain(phone.as_str())));
        told.extend(contact.url.as_ref().map(|url| Text { words: url.clone(), link: Some(url.clone()) }));
        (label, told)
    }

    fn officer(&self) -> Section {
        let mut pairs = Vec::new();
        let operator = &self.facts.operator;
        let mut who = vec![Text::plain(self.operator())];
        who.extend(operator.address.as_ref().map(|address| Text::plain(address.as_str())));
        pairs.push((self.say("Who answers for the data", "개인정보처리자"), who));
        if let Some(officer) = &self.facts.officer {
            pairs.push(self.contact(self.say("Privacy officer", "개인정보 보호책임자"), officer));
        }
        if let Some(security) = &self.facts.security {
            pairs.push(self.contact(self.say("Security", "보안 담당"), security));
        }
        let mut blocks = vec![Block::Pairs(pairs)];
        if self.facts.officer.is_none() {
            blocks.push(self.text(
                "The operator has named no privacy officer.",
                "운영자가 개인정보 보호책임자를 지정하지 않았습니다.",
            ));
        }
        self.section(
            "officer",
            "Whom to turn to",
            "11. 개인정보 보호책임자 및 열람 청구를 접수·처리하는 부서",
            blocks,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::tests::facts;

    fn whole(facts: &Facts, language: Language) -> String {
        serde_json::to_string(&Statement::new(facts, language)).unwrap()
    }

    #[test]
    fn both_languages_have_the_same_sections_with_as_much_in_them() {
        let [english, korean] = Language::ALL.map(|language| Statement::new(&facts(), language));
        let shape = |statement: &Statement| -> Vec<_> {
            let of = |block: &Block| match block {
                Block::Text(_) => (0, 1),
                Block::List(items) => (1, items.len()),
                Block::Pairs(pairs) => (2, pairs.iter().map(|(_, told)| told.len()).sum()),
                Block::Table { rows, .. } => (3, rows.len()),
            };
            statement
                .sections
                .iter()
                .map(|one| (one.id, one.blocks.iter().map(of).collect::<Vec<_>>()))
                .collect()
        };
        assert_eq!(shape(&english), shape(&korean));
        assert_eq!(english.sections.len(), 12);
        // PIPA numbers its items.
        for (at, section) in korean.sections.iter().enumerate() {
            assert!(section.heading.starts_with(&format!("{}. ", at + 1)), "{}", section.heading);
        }
    }

    #[test]
    fn each_mode_of_the_request_log_says_what_it_means() {
        let with = |mode: &str| {
            let mut facts = facts();
            facts.request_log.mode = mode.to_owned();
            whole(&facts, Language::En)
        };
        assert!(with("full").contains("The mode is full: the IP address"));
        assert!(with("truncated").contains("cut to their network"));
        assert!(with("off").contains("nothing is written down"));
        assert!(!with("off").contains("Hours are counted"));
    }

    #[test]
    fn what_the_operator_told_is_there_and_what_is_missing_is_said() {
        let told = whole(&facts(), Language::Ko);
        for words in [
            "예시 인증",
            "개인정보 보호책임자",
            "Example Hosting",
            "서버 운영",
            "개인정보침해 신고센터",
            "DE",
        ] {
            assert!(told.contains(words), "{words} in {told}");
        }
        let bare = Facts {
            operator: crate::Operator::default(),
            officer: None,
            processors: Default::default(),
            authorities: Default::default(),
            ..facts()
        };
        let told = whole(&bare, Language::En);
        assert!(told.contains("has named no privacy officer"), "{told}");
        assert!(told.contains("No company is entrusted"), "{told}");
    }

    #[test]
    fn bounds_stand_beside_what_is_in_force() {
        let mut facts = facts();
        facts.classes.get_mut(&Class::Issuance).unwrap().keep_s = Some(3650 * 86_400);
        let told = whole(&facts, Language::En);
        assert!(told.contains("3,650 days (at least 7 years (2,562 days))"), "{told}");
        assert!(told.contains("at least 2 years (732 days), at most 10 years (3,660 days)"), "{told}");
    }
}
