//! Who may come into the cluster, who has, and who may not any more: join tokens, certificates by name, revocations.
//!
//! No key and no secret is in it: of a token there is the hash of 32 random bytes, which lets nobody in, and a seal. What a role is, what its holder may do,
//! and whether a seal is true, is not decided here.
//!
//! *Once*: a token serves whoever's [`super::Command::Enrol`] comes first in the log, at whichever node it was shown. *Never back*: a name that was
//! revoked stays so.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::command::{Answer, Generation, Refusal};

/// Join tokens at once, those that were used and can still be told of included.
pub const MAX_TOKENS: usize = 10_000;
/// Names at once that have, or had, a certificate; and names that are revoked.
pub const MAX_CERTIFICATES: usize = 100_000;
/// Longest id, name, role and hash, in bytes.
const MAX_WORD_BYTES: usize = 128;

/// How long a token is told of after its end, and a certificate, in seconds: until then who shows it learns why it does not serve.
const TOLD_AFTER: u64 = 7 * 24 * 3600;
const LISTED_AFTER: u64 = 90 * 24 * 3600;

/// What admissions answer where something is done: nothing of them has generations.
const DONE: Answer = Answer::Done { generation: Generation(0) };
const ALREADY: Answer = Answer::Already { generation: Generation(0) };

/// A join token, without its secret. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// What it lets one in as.
    pub role: String,
    /// Of its secret.
    pub hash: String,
    pub expires: u64,
    /// Made of all of this by somebody who may invite; what it is to be is not decided here.
    pub seal: String,
    /// Who came in by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Use>,
}

/// That a token was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Who came in.
    pub name: String,
    /// Drawn for this use, so that one which is entered twice is known.
    pub nonce: u64,
}

/// Somebody who has a certificate, or had one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certified {
    pub role: String,
    /// When the newest one ends, in seconds since 1970.
    pub expires: u64,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admissions {
    /// By id.
    tokens: BTreeMap<String, Invitation>,
    /// By name.
    certificates: BTreeMap<String, Certified>,
    revoked: BTreeSet<String>,
}

impl Admissions {
    pub fn token(&self, id: &str) -> Option<&Invitation> {
        self.tokens.get(id)
    }

    pub fn certificates(&self) -> impl Iterator<Item = (&str, &Certified)> {
        self.certificates.iter().map(|(name, certified)| (name.as_str(), certified))
    }

    pub fn certified(&self, name: &str) -> Option<&Certified> {
        self.certificates.get(name)
    }

    pub fn revoked(&self) -> impl Iterator<Item = &str> {
        self.revoked.iter().map(String::as_str)
    }

    pub fn is_revoked(&self, name: &str) -> bool {
        self.revoked.contains(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Admissions::default()
    }

    /// A token that was made. `now` is its maker's time: what nobody needs to be told of any more goes.
    pub(super) fn invite(&mut self, id: String, invitation: Invitation, now: u64) -> Result<Answer, Answer> {
        check_words([&id, &invitation.role, &invitation.hash, &invitation.seal])?;
        // Whoever got no answer says it again; that it was used since stays.
        if let Some(known) = self.tokens.get(&id) {
            let is_same = known.hash == invitation.hash && known.role == invitation.role;
            return if is_same { Ok(ALREADY) } else { Err(refused(Refusal::Taken)) };
        }
        self.tokens.retain(|_, known| now < known.expires.saturating_add(TOLD_AFTER));
        room(self.tokens.len(), MAX_TOKENS)?;
        self.tokens.insert(id, Invitation { used: None, ..invitation });
        Ok(DONE)
    }

    /// Somebody shows a token, and is to come in under a name until a time. Only who has its secret learns more than that it is none.
    pub(super) fn enrol(&mut self, enrolment: Enrolment) -> Result<Answer, Answer> {
        let Enrolment { token, hash, name, nonce, expires, now } = enrolment;
        check_words([&name])?;
        let known = self.tokens.get(&token).filter(|known| known.hash == hash).ok_or(Answer::Unknown)?;
        match &known.used {
            Some(used) if used.nonce == nonce && used.name == name => return Ok(ALREADY),
            Some(_) => return Err(refused(Refusal::Used)),
            None if known.expires <= now => return Err(refused(Refusal::Expired)),
            None => {}
        }
        if self.certificates.contains_key(&name) || self.revoked.contains(&name) {
            return Err(refused(Refusal::Taken));
        }
        let certified = Certified { role: known.role.clone(), expires };
        self.list(name.clone(), certified, now)?;
        if let Some(known) = self.tokens.get_mut(&token) {
            known.used = Some(Use { name, nonce });
        }
        Ok(DONE)
    }

    /// Somebody has a certificate, or a further one.
    pub(super) fn certify(&mut self, name: String, certified: Certified, now: u64) -> Result<Answer, Answer> {
        check_words([&name, &certified.role])?;
        if self.certificates.get(&name).is_some_and(|known| known.expires >= certified.expires) {
            return Ok(ALREADY);
        }
        self.list(name, certified, now)
    }

    /// No certificate of a name is believed any more.
    pub(super) fn revoke(&mut self, name: String) -> Result<Answer, Answer> {
        check_words([&name])?;
        if self.revoked.contains(&name) {
            return Ok(ALREADY);
        }
        room(self.revoked.len(), MAX_CERTIFICATES)?;
        self.revoked.insert(name);
        Ok(DONE)
    }

    fn list(&mut self, name: String, certified: Certified, now: u64) -> Result<Answer, Answer> {
        if self.certificates.len() >= MAX_CERTIFICATES {
            self.certificates.retain(|_, known| now < known.expires.saturating_add(LISTED_AFTER));
        }
        room(self.certificates.len(), MAX_CERTIFICATES)?;
        self.certificates.insert(name, certified);
        Ok(DONE)
    }
}

/// What is entered when somebody comes in.
pub(super) struct Enrolment {
    pub token: String,
    pub hash: String,
    pub name: String,
    pub nonce: u64,
    pub expires: u64,
    pub now: u64,
}

const fn refused(why: Refusal) -> Answer {
    Answer::Refused { why }
}

fn check_words<const N: usize>(words: [&String; N]) -> Result<(), Answer> {
    let is_word = |word: &&String| !word.is_empty() && word.len() <= MAX_WORD_BYTES;
    if words.iter().all(is_word) { Ok(()) } else { Err(refused(Refusal::TooLong)) }
}

const fn room(held: usize, most: usize) -> Result<(), Answer> {
    if held < most { Ok(()) } else { Err(refused(Refusal::Full)) }
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Control};
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn invite(control: &mut Control, token: &str, expires: u64) -> Answer {
        let (token, role, hash, seal) = (token.to_owned(), "node".to_owned(), "hash".to_owned(), "seal".to_owned());
        control.apply(Command::Invite { token, role, hash, expires, seal, now: 0 })
    }

    fn enrol(control: &mut Control, token: &str, hash: &str, name: &str, nonce: u64, now: u64) -> Answer {
        let (token, hash, name) = (token.to_owned(), hash.to_owned(), name.to_owned());
        control.apply(Command::Enrol { token, hash, name, nonce, expires: now + 90 * DAY, now })
    }

    #[test]
    fn a_token_serves_who_comes_first_and_an_entry_that_comes_twice_is_the_same_one() {
        let mut control = Control::default();
        assert_eq!(invite(&mut control, "t", DAY), DONE);
        assert_eq!(enrol(&mut control, "t", "other", "a-1", 1, 0), Answer::Unknown);
        assert_eq!(enrol(&mut control, "none", "hash", "a-1", 1, 0), Answer::Unknown);
        assert_eq!(enrol(&mut control, "t", "hash", "a-1", 1, 0), DONE);
        assert_eq!(enrol(&mut control, "t", "hash", "a-1", 1, 0), ALREADY);
        assert_eq!(enrol(&mut control, "t", "hash", "b-2", 2, 0), refused(Refusal::Used));
        assert_eq!(enrol(&mut control, "t", "other", "b-2", 2, 0), Answer::Unknown, "that it was used is nobody else's to know");
        // Whoever made it says so again: it stays used.
        assert_eq!(invite(&mut control, "t", DAY), ALREADY);
        assert_eq!(enrol(&mut control, "t", "hash", "b-2", 3, 0), refused(Refusal::Used));
        let listed: Vec<&str> = control.admissions().certificates().map(|(name, _)| name).collect();
        assert_eq!(listed, ["a-1"]);
    }

    #[test]
    fn a_token_that_has_expired_or_a_name_that_somebody_has_lets_nobody_in() {
        let mut control = Control::default();
        invite(&mut control, "old", 10);
        assert_eq!(enrol(&mut control, "old", "hash", "a-1", 1, 10), refused(Refusal::Expired));
        invite(&mut control, "t", DAY);
        control.apply(Command::Revoke { name: "b-2".into() });
        control.apply(Command::Certify { name: "a-1".into(), role: "view".into(), expires: DAY, now: 0 });
        for name in ["a-1", "b-2"] {
            assert_eq!(enrol(&mut control, "t", "hash", name, 1, 0), refused(Refusal::Taken));
        }
        assert_eq!(enrol(&mut control, "t", "hash", "c-3", 1, 0), DONE, "the token was not spent for them");
    }

    #[test]
    fn what_nobody_needs_to_be_told_of_goes_and_what_was_revoked_stays() {
        let mut control = Control::default();
        invite(&mut control, "old", 10);
        control.apply(Command::Revoke { name: "a-1".into() });
        let (token, role, hash, seal) = ("new".to_owned(), "view".to_owned(), "h".to_owned(), "s".to_owned());
        control.apply(Command::Invite { token, role, hash, expires: 30 * DAY, seal, now: 10 + TOLD_AFTER });
        assert!(control.admissions().token("old").is_none() && control.admissions().token("new").is_some());
        assert_eq!(enrol(&mut control, "old", "hash", "b-2", 1, 0), Answer::Unknown);
        assert!(control.admissions().is_revoked("a-1"));
        assert_eq!(control.apply(Command::Revoke { name: "a-1".into() }), ALREADY);
    }

    #[test]
    fn a_snapshot_of_the_release_before_has_no_admissions_and_is_read() {
        let before = serde_json::to_string(&Control::default()).unwrap();
        assert!(!before.contains("admissions"), "nothing is told of where there is nothing: {before}");
        let mut control: Control = serde_json::from_str(&before).unwrap();
        invite(&mut control, "t", DAY);
        let after: Control = serde_json::from_str(&serde_json::to_string(&control).unwrap()).unwrap();
        assert_eq!(after, control);
    }
}
