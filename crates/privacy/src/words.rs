//! Words for codes, numbers and times, in each language.

use ingam_protocol::Timestamp;
use ingam_protocol::record::Class;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::ContactPurpose;
use crate::facts::{Basis, Purpose};

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 60 * MINUTE_S;
const DAY_S: u64 = 24 * HOUR_S;
/// As the floors count: 366 days, so that none is a day short.
const YEAR_D: u64 = 366;

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Korean.
    Ko,
}

impl Language {
    /// All of them, the default first.
    pub const ALL: [Self; 2] = [Self::En, Self::Ko];

    /// Its tag (BCP 47).
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ko => "ko",
        }
    }

    /// Its own name.
    pub fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Ko => "한국어",
        }
    }

    /// The language of this tag, with or without a region.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// The one that `Accept-Language` (RFC 9110, section 12.5.4) likes best; English if it likes none of ours.
    pub fn accepted(header: &str) -> Self {
        let mut best = (0, Self::En);
        for range in header.split(',').take(32) {
            let mut parts = range.split(';').map(str::trim);
            let Some(language) = parts.next().and_then(Self::from_tag) else { continue };
            let quality =
                parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok());
            let quality = quality.unwrap_or(0.0).clamp(0.0, 1.0);
            // Three digits are all that there are.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
            let quality = (quality * 1000.0) as u32;
            if quality > best.0 {
                best = (quality, language);
            }
        }
        best.1
    }

    /// One of two texts.
    pub(crate) fn of(self, english: &'static str, korean: &'static str) -> &'static str {
        match self {
            Self::En => english,
            Self::Ko => korean,
        }
    }

    /// A length of time, in the largest unit in which it is whole.
    pub(crate) fn span(self, seconds: u64) -> String {
        let counted = |number: u64, one: &str, many: &str, korean: &str| match self {
            Self::En => format!("{} {}", thousands(number), if number == 1 { one } else { many }),
            Self::Ko => format!("{}{korean}", thousands(number)),
        };
        let whole = |unit: u64| seconds >= unit && seconds.is_multiple_of(unit);
        if whole(DAY_S) {
            let days = seconds / DAY_S;
            let told = counted(days, "day", "days", "일");
            if days >= YEAR_D && days.is_multiple_of(YEAR_D) {
                let years = days / YEAR_D;
                return match self {
                    Self::En => format!("{} ({told})", counted(years, "year", "years", "년")),
                    Self::Ko => format!("{}({told})", counted(years, "year", "years", "년")),
                };
            }
            told
        } else if whole(HOUR_S) {
            counted(seconds / HOUR_S, "hour", "hours", "시간")
        } else if whole(MINUTE_S) {
            counted(seconds / MINUTE_S, "minute", "minutes", "분")
        } else {
            counted(seconds, "second", "seconds", "초")
        }
    }

    /// A day, as people of this language write it.
    pub(crate) fn day(self, at: Timestamp) -> String {
        const MONTHS: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        let at = at.to_date_time();
        let month = u8::from(at.month());
        match self {
            Self::En => {
                let name = MONTHS.get(usize::from(month) - 1).copied().unwrap_or_default();
                format!("{} {name} {}", at.day(), at.year())
            }
            Self::Ko => format!("{}년 {month}월 {}일", at.year(), at.day()),
        }
    }

    pub(crate) fn purpose(self, purpose: Purpose) -> &'static str {
        match purpose {
            Purpose::Issue => self.of("issuing and revoking certificates", "인증서의 발급 및 폐지"),
            Purpose::Prove => self.of(
                "showing how each certificate came to be and that the rules for CAs are kept",
                "인증서 발급 경위와 인증기관 운영 기준 준수의 증명",
            ),
            Purpose::Protect => {
                self.of("keeping the service safe from abuse", "서비스의 오남용 방지 및 보호")
            }
            Purpose::Faults => self.of("finding faults", "장애 원인의 파악"),
            Purpose::Account => self.of(
                "showing who did what with the CA and with personal data",
                "인증기관 및 개인정보에 대한 처리 내역의 증명",
            ),
            Purpose::ServiceMail => self.of(
                "service mail, and nothing else",
                "서비스 관련 알림 발송(그 밖의 용도로는 이용하지 않음)",
            ),
            Purpose::SignIn => self.of("letting people in", "이용자 확인(로그인)"),
            Purpose::Investigate => {
                self.of("looking into one named fault or case of abuse", "특정 장애 또는 오남용 사건의 조사")
            }
            Purpose::Count => self.of(
                "planning, and publishing numbers without people",
                "운영 계획 수립 및 개인을 알아볼 수 없는 통계의 공개",
            ),
        }
    }

    pub(crate) fn contact_purpose(self, purpose: ContactPurpose) -> &'static str {
        match purpose {
            ContactPurpose::Expiry => self.of("a certificate ends soon", "인증서 만료 예정 안내"),
            ContactPurpose::Incident => self
                .of("a certificate has to be replaced, or was revoked", "인증서의 교체 필요 또는 폐지 안내"),
            ContactPurpose::Account => self.of(
                "something about the account: its key, its limits, its terms",
                "계정의 키, 이용 한도, 약관에 관한 안내",
            ),
            ContactPurpose::Rights => self.of(
                "what is known about you: yearly statements, reports, notices of disclosure",
                "개인정보 이용·제공 내역의 통지, 열람 결과 및 제공 사실의 통지",
            ),
        }
    }

    pub(crate) fn basis(self, basis: Option<Basis>) -> &'static str {
        match basis {
            Some(Basis::Contract) => self.of(
                "the contract with the subscriber (GDPR, Article 6(1)(b); PIPA, Article 15(1)4)",
                "계약의 이행(개인정보 보호법 제15조제1항제4호, GDPR 제6조제1항(b))",
            ),
            Some(Basis::Consent) => self.of(
                "consent, which can be withdrawn at any time (GDPR, Article 6(1)(a); PIPA, Article 15(1)1)",
                "동의, 언제든지 철회 가능(개인정보 보호법 제15조제1항제1호, GDPR 제6조제1항(a))",
            ),
            Some(Basis::Duty) => self.of(
                "a duty to keep data safe and to be able to show it (GDPR, Articles 5(2), 6(1)(c) and 32; PIPA, Articles 15(1)2 and 29)",
                "법령상 의무의 준수(개인정보 보호법 제15조제1항제2호 및 제29조, GDPR 제5조제2항, 제6조제1항(c) 및 제32조)",
            ),
            Some(Basis::Interest) => self.of(
                "the legitimate interest in a service that is safe and can be checked (GDPR, Article 6(1)(f); PIPA, Article 15(1)6)",
                "안전하고 검증 가능한 서비스를 위한 정당한 이익(개인정보 보호법 제15조제1항제6호, GDPR 제6조제1항(f))",
            ),
            None => self.of("none is needed: it is about no person", "해당 없음(개인을 알아볼 수 없는 정보)"),
        }
    }

    pub(crate) fn class(self, class: Class) -> &'static str {
        match class {
            Class::OcspRequestLog => self.of("Log of OCSP requests", "OCSP 요청 기록"),
            Class::Issuance => self.of("Issuance", "인증서 발급 기록"),
            Class::CaLifecycle => self.of("The CA itself", "인증기관 운영 기록"),
            Class::AccessLog => self.of("Access log", "접속 기록"),
            Class::PermissionChange => self.of("Changes of access rights", "접근 권한 변경 기록"),
            Class::Retention => self.of("Receipts and cases", "파기 및 제공 기록"),
            Class::Contact => self.of("Contacts", "연락처"),
            Class::Passcode => self.of("One-time passcodes", "일회용 인증번호"),
            Class::Working => self.of("Work in hand", "처리 중인 정보"),
            Class::OperationsLog => self.of("Operations log", "운영 로그"),
            Class::Investigation => self.of("Investigations", "조사 기록"),
            Class::Aggregate => self.of("Counts without people", "통계"),
        }
    }

    /// What is in a class.
    pub(crate) fn items(self, class: Class) -> &'static str {
        match class {
            Class::OcspRequestLog => self.of(
                "of whoever asks for the status of a certificate: IP address, user agent, serial number asked for, time, answer",
                "인증서 상태를 조회한 이용자의 IP 주소, 사용자 에이전트(브라우저·운영체제), 조회한 일련번호, 시각, 응답",
            ),
            Class::Issuance => self.of(
                "accounts' public keys, orders, certificate requests, certificates, signed requests with IP address and user agent, \
                 evidence of each validation with the addresses that names resolved to, CAA answers, SCTs, revocations, \
                 signatures of OCSP answers and CRLs",
                "계정의 공개키, 주문, 인증서 신청 정보, 인증서, 서명된 요청과 그 IP 주소 및 사용자 에이전트, 도메인 확인 증적 및 \
                 확인된 주소, CAA 응답, SCT, 폐지 기록, OCSP 응답 및 CRL 서명 기록",
            ),
            Class::CaLifecycle => self.of(
                "ceremonies, keys loaded and destroyed, CA certificates, changes of profile and configuration, with who made them",
                "키 생성 행사, 키의 사용 및 파기, 인증기관 인증서, 프로파일 및 설정 변경과 그 수행자",
            ),
            Class::AccessLog => self.of(
                "operators' acts and reads of personal data: who, from where, with what, when, what, why",
                "운영자의 접속 및 개인정보 조회: 계정, 접속지, 접속 도구, 시각, 처리 내용, 사유",
            ),
            Class::PermissionChange => self.of(
                "who gave or took away whose access right, when and why",
                "접근 권한의 부여·변경·말소 내역, 수행자, 시각, 사유",
            ),
            Class::Retention => self.of(
                "receipts of deletion, holds, cases and disclosures, without the data itself",
                "파기 확인, 보존 조치, 사건 및 제공 내역(개인정보 자체는 제외)",
            ),
            Class::Contact => self.of(
                "e-mail addresses, names, departments, preferences, as far as a subscriber gives them",
                "이용자가 선택적으로 제공한 전자우편 주소, 이름, 부서, 수신 설정",
            ),
            Class::Passcode => self.of(
                "keyed hashes of one-time passcodes and links; never the codes themselves",
                "일회용 인증번호 및 링크의 해시값(원문은 저장하지 않음)",
            ),
            Class::Working => self.of(
                "orders and authorizations in hand, counters of limits, some of them by IP address",
                "처리 중인 주문 및 권한 확인, 이용 한도 계수(일부는 IP 주소 기준)",
            ),
            Class::OperationsLog => self.of(
                "what the software says of its work: no personal data beyond a client's IP address",
                "소프트웨어 동작 기록(이용자의 IP 주소 외의 개인정보는 포함하지 않음)",
            ),
            Class::Investigation => self.of(
                "a part of the logs, held for one named fault or case of abuse, with owner, reason and end",
                "특정 장애 또는 오남용 사건을 위하여 책임자, 사유, 종료일을 정하여 보존하는 로그의 일부",
            ),
            Class::Aggregate => self.of(
                "requests per certificate and hour, errors, kinds of client: no address, no user agent",
                "인증서별·시간별 요청 수, 오류 수, 클라이언트 종류(IP 주소 및 사용자 에이전트는 포함하지 않음)",
            ),
        }
    }

    /// A value of the facts, in a change.
    pub(crate) fn value(self, what: &str, value: Option<&Value>) -> String {
        let Some(value) = value else { return self.of("nothing", "없음").to_owned() };
        match value {
            Value::Bool(true) => self.of("yes", "예").to_owned(),
            Value::Bool(false) => self.of("no", "아니요").to_owned(),
            Value::Number(number) => match number.as_u64() {
                Some(seconds) if what.ends_with("_s") => self.span(seconds),
                Some(number) => thousands(number),
                None => number.to_string(),
            },
            Value::String(text) => text.clone(),
            Value::Array(items) if items.is_empty() => self.of("nothing", "없음").to_owned(),
            Value::Array(items) => {
                let told = items.iter().map(|item| self.code(what, item)).collect::<Vec<_>>();
                told.join(self.of("; ", ", "))
            }
            Value::Object(members) => {
                let name = members.get("name").and_then(Value::as_str);
                name.map_or_else(|| self.of("as described", "본문 참조").to_owned(), ToOwned::to_owned)
            }
            Value::Null => self.of("nothing", "없음").to_owned(),
        }
    }

    /// A purpose, if it is one: what mail is for and what records are for have words in common.
    fn code(self, what: &str, value: &Value) -> String {
        let told = if what.starts_with("contacts.") {
            serde_json::from_value(value.clone()).ok().map(|purpose| self.contact_purpose(purpose))
        } else {
            serde_json::from_value(value.clone()).ok().map(|purpose| self.purpose(purpose))
        };
        let plain = || value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        told.map_or_else(plain, ToOwned::to_owned)
    }

    /// Which row of the page a change is about.
    pub(crate) fn row(self, what: &str) -> String {
        let mut parts = what.splitn(3, '.');
        let (section, second, last) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        if section == "classes" {
            let class = second.and_then(Class::from_name);
            let name = class.map_or("", |class| self.class(class));
            let field = match last.unwrap_or_default() {
                "keep_s" => self.of("kept for", "보유 기간"),
                "floor_s" => self.of("kept at least", "최소 보유 기간"),
                "ceiling_s" => self.of("kept at most", "최대 보유 기간"),
                "purposes" => self.of("what it is for", "처리 목적"),
                "basis" => self.of("legal basis", "처리 근거"),
                _ => self.of("whether it is made", "처리 여부"),
            };
            return format!("{name}: {field}");
        }
        let told = match (section, second) {
            ("service", _) => self.of("The service", "서비스"),
            ("environment", _) => self.of("The environment", "운영 환경"),
            ("operator", _) => self.of("Who answers for the data", "개인정보처리자"),
            ("officer", _) => self.of("Privacy officer", "개인정보 보호책임자"),
            ("security", _) => self.of("Security contact", "보안 담당"),
            ("request_log", Some("mode")) => {
                self.of("OCSP requests: what is written down", "OCSP 요청 기록 방식")
            }
            ("request_log", Some("keep_s")) => self.of("OCSP requests: kept for", "OCSP 요청 기록 보유 기간"),
            ("request_log", _) => self.of("OCSP requests: counts", "OCSP 요청 통계"),
            ("contacts", Some("purposes")) => self.of("Contacts: what mail is for", "연락처: 처리 목적"),
            ("contacts", Some("by_acme")) => self.of("Requests by ACME", "ACME를 통한 권리 행사"),
            ("contacts", _) => self.of("Contacts: whether and how many", "연락처: 수집 여부 및 개수"),
            ("shared", Some("certificate_transparency")) => {
                self.of("Publication in transparency logs", "인증서 투명성 로그 공개")
            }
            ("shared", Some("certificates_by_get")) => {
                self.of("Certificates at their URLs", "인증서 URL 공개")
            }
            ("shared", _) => self.of("Remote perspectives", "원격 확인 지점"),
            ("wording", _) => self.of("The wording, not what is done", "표현의 정비(처리 내용의 변경 없음)"),
            ("processors", name) => {
                return format!("{}: {}", self.of("Entrusted", "처리 위탁"), name.unwrap_or_default());
            }
            ("authorities", name) => {
                return format!(
                    "{}: {}",
                    self.of("Where to complain", "권익침해 구제"),
                    name.unwrap_or_default()
                );
            }
            _ => what,
        };
        told.to_owned()
    }
}

/// A number with its thousands apart.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut told = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_liked_best() {
        for (header, language) in [
            ("", Language::En),
            ("ko", Language::Ko),
            ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", Language::Ko),
            ("en-GB, ko;q=0.5", Language::En),
            ("de, fr;q=0.9", Language::En),
            ("de, KO;q=0.1", Language::Ko),
            ("en;q=0, ko;q=0.001", Language::Ko),
            ("ko;q=nonsense", Language::En),
            ("ko;q=-1, en;q=1e9", Language::En),
            ("*", Language::En),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }

    #[test]
    fn times_are_told_in_the_largest_whole_unit() {
        let (en, ko) = (Language::En, Language::Ko);
        assert_eq!(en.span(2562 * DAY_S), "7 years (2,562 days)");
        assert_eq!(ko.span(2562 * DAY_S), "7년(2,562일)");
        assert_eq!(en.span(DAY_S), "1 day");
        assert_eq!(en.span(36 * HOUR_S), "36 hours");
        assert_eq!(ko.span(600), "10분");
        assert_eq!(en.span(0), "0 seconds");
        let day = Timestamp::from_rfc3339("2026-11-09T23:59:59Z").unwrap();
        assert_eq!((en.day(day).as_str(), ko.day(day).as_str()), ("9 November 2026", "2026년 11월 9일"));
    }

    #[test]
    fn a_purpose_is_told_by_whose_it_is() {
        let value = serde_json::json!(["account"]);
        let told = |what: &str| Language::En.value(what, Some(&value));
        assert!(told("contacts.purposes").starts_with("something about the account"));
        assert!(told("classes.access_log.purposes").starts_with("showing who did what"));
    }

    #[test]
    fn every_row_of_the_facts_has_a_name_in_each_language() {
        let facts = serde_json::to_value(crate::facts::tests::facts()).unwrap();
        for (key, value) in facts.as_object().unwrap() {
            let below = value.as_object().into_iter().flatten().map(|(name, _)| format!("{key}.{name}"));
            for what in below.chain([key.clone()]) {
                for language in Language::ALL {
                    assert_ne!(language.row(&what), what, "{what} has a name");
                }
            }
        }
    }
}
