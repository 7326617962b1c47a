//! The timelines of the other control nodes, as far as they have told them, and all of them as one.
//!
//! Pure. Each node writes its own timeline alone; what it has heard of the others' it passes on, so that what a node saw outlives it. A page is known by
//! the node's name, its incarnation and a number that grows, and a newer one takes the place of an older.

use std::collections::BTreeMap;

use millrace_wire::cluster::{Happening, Incident, PageMark, TimelinePage};

use super::timeline::MOST_INCIDENTS;

/// Nodes whose pages are kept; then that goes in which nothing has happened for longest.
const MOST_PAGES: usize = 16;
/// The newest incidents of a page, and about how many bytes of them.
const MOST_OF_PAGE: usize = 100;
const MOST_PAGE_BYTES: usize = 128 << 10;
/// What is told at once; the rest is told when it is asked for again.
const MOST_TOLD_BYTES: usize = 1 << 20;

/// How far apart two nodes may see the same thing.
const SAME_US: i64 = 5_000_000;
/// A clock that is further off than this, beyond what the answer took, is noted, and what it stamped is moved.
const SKEW_US: i64 = 1_000_000;

#[derive(Debug, Default)]
pub struct Others {
    /// By the name of the node that told it.
    pages: BTreeMap<String, TimelinePage>,
    /// How far ahead of this node's clock theirs are, where that is worth a word.
    skews: BTreeMap<String, i64>,
    revision: u64,
}

impl Others {
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    pub fn pages(&self) -> Vec<TimelinePage> {
        self.pages.values().cloned().collect()
    }

    /// The newest page of each, to ask for what is newer.
    pub fn marks(&self) -> BTreeMap<String, PageMark> {
        self.pages.iter().map(|(by, page)| (by.clone(), page.mark)).collect()
    }

    /// Takes what another node has told, of itself and of others.
    pub fn take(&mut self, own: &str, pages: Vec<TimelinePage>) {
        for mut page in pages {
            let is_news = self.pages.get(&page.by).is_none_or(|known| known.mark < page.mark);
            if page.by == own || page.by.is_empty() || !is_news {
                continue;
            }
            bound(&mut page.incidents);
            self.pages.insert(page.by.clone(), page);
            self.revision += 1;
        }
        while self.pages.len() > MOST_PAGES {
            let quietest = self.pages.iter().min_by_key(|(_, page)| page.incidents.last().map(|last| last.root.at_us));
            let Some(quietest) = quietest.map(|(by, _)| by.clone()) else { return };
            self.pages.remove(&quietest);
            self.skews.remove(&quietest);
        }
    }

    /// A node told the time while this one's clock stood in the midst of these two.
    pub fn clock(&mut self, by: &str, told_us: i64, asked_us: i64, heard_us: i64) {
        let taken = heard_us.saturating_sub(asked_us).max(0);
        let ahead = told_us.saturating_sub(asked_us.saturating_add(taken / 2));
        let skew = if ahead.saturating_abs() > SKEW_US.saturating_add(taken / 2) { ahead } else { 0 };
        let before = if skew == 0 { self.skews.remove(by).unwrap_or(0) } else { self.skews.insert(by.to_owned(), skew).unwrap_or(0) };
        // Clocks drift all the while: what changes little changes nothing that is shown.
        self.revision += u64::from(skew.abs_diff(before) > SKEW_US.unsigned_abs());
    }

    /// This node's page, and those of others, as far as they are newer than what is known.
    pub fn told(&self, own: TimelinePage, known: &BTreeMap<String, PageMark>) -> Vec<TimelinePage> {
        let is_news = |page: &&TimelinePage| known.get(&page.by).is_none_or(|mark| *mark < page.mark);
        let mut own = own;
        bound(&mut own.incidents);
        let (mut told, mut bytes) = (Vec::new(), 0);
        for page in std::iter::once(&own).chain(self.pages.values()).filter(is_news) {
            bytes += page.incidents.iter().map(bytes_of).sum::<usize>();
            if bytes > MOST_TOLD_BYTES {
                break;
            }
            told.push(page.clone());
        }
        told
    }

    /// All of it in the order of this node's time, what several nodes have seen told once.
    pub fn with<'a>(&self, own: impl Iterator<Item = &'a Incident>) -> Vec<Incident> {
        let mut all: Vec<Incident> = own.cloned().collect();
        for (at, page) in self.pages.values().enumerate() {
            let skew = self.skews.get(&page.by).copied().unwrap_or(0);
            for incident in &page.incidents {
                let incident = as_told(incident, at, page, skew);
                match all.iter_mut().find(|known| is_same(&known.root, &incident.root)) {
                    Some(known) => fold(known, incident),
                    None => all.push(incident),
                }
            }
        }
        all.sort_by_key(|incident| incident.root.at_us);
        all.drain(..all.len().saturating_sub(MOST_INCIDENTS));
        all
    }
}

/// The newest that one page may hold.
fn bound(incidents: &mut Vec<Incident>) {
    let mut bytes = 0;
    let fits = |incident: &&Incident| {
        bytes += bytes_of(incident);
        bytes <= MOST_PAGE_BYTES
    };
    let kept = incidents.iter().rev().take(MOST_OF_PAGE).take_while(fits).count();
    incidents.drain(..incidents.len() - kept);
}

/// About how many it takes.
fn bytes_of(incident: &Incident) -> usize {
    const FRAME: usize = 128;
    let long = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let of = |what: &Happening| FRAME + what.kind.len() + what.message.len() + long(&what.node) + long(&what.pipeline) + long(&what.alert);
    of(&incident.root) + incident.victims.iter().map(of).sum::<usize>()
}

/// An incident of another node: in this node's time, under a number that none of its own has, and of no run of this one.
fn as_told(incident: &Incident, at: usize, page: &TimelinePage, skew: i64) -> Incident {
    let moved = |what: &Happening| Happening { at_us: what.at_us.saturating_sub(skew), job: None, ..what.clone() };
    let mut root = moved(&incident.root);
    root.message = match skew {
        0 => format!("{}; told by {}", root.message, page.by),
        skew => format!(
            "{}; told by {}, whose clock is {} ms {}",
            root.message,
            page.by,
            skew.unsigned_abs() / 1_000,
            if skew > 0 { "ahead" } else { "behind" }
        ),
    };
    let id = (1 << 40) | ((at as u64) << 32) | (incident.id & u64::from(u32::MAX));
    Incident { id, root, victims: incident.victims.iter().map(moved).collect(), unlisted: incident.unlisted }
}

/// Whether two nodes tell of one thing: what happens to a run is told by the node that leads it alone.
fn is_same(a: &Happening, b: &Happening) -> bool {
    a.kind == b.kind && a.node.is_some() && a.node == b.node && a.at_us.abs_diff(b.at_us) <= SAME_US.unsigned_abs()
}

/// Adds what another node has seen come of something that this one has seen too.
fn fold(known: &mut Incident, other: Incident) {
    for victim in other.victims {
        if !known.victims.iter().any(|seen| is_same(seen, &victim)) {
            let at = known.victims.partition_point(|seen| seen.at_us <= victim.at_us);
            known.victims.insert(at, victim);
        }
    }
    known.unlisted = known.unlisted.saturating_add(other.unlisted);
}

#[cfg(test)]
mod tests {
    use millrace_wire::cluster::happenings::{LEADER_CHANGED, NODE_LOST, RESTARTED, TASKS_LOST};
    use millrace_wire::message::JobId;

    use super::*;

    const SECOND: i64 = 1_000_000;

    fn what(at_us: i64, kind: &str, node: Option<&str>) -> Happening {
        let job = node.is_none().then_some(JobId(1));
        Happening {
            at_us,
            kind: kind.to_owned(),
            node: node.map(str::to_owned),
            job,
            pipeline: None,
            alert: None,
            message: kind.to_owned(),
        }
    }

    fn incident(id: u64, root: Happening, victims: Vec<Happening>) -> Incident {
        Incident { id, root, victims, unlisted: 0 }
    }

    fn page(by: &str, incarnation: u64, revision: u64, incidents: Vec<Incident>) -> TimelinePage {
        TimelinePage { by: by.to_owned(), mark: PageMark { incarnation, revision }, incidents }
    }

    #[test]
    fn what_several_nodes_have_seen_is_told_once_with_all_that_came_of_it_in_the_order_of_time() {
        let mut others = Others::default();
        let lost = incident(7, what(11 * SECOND, NODE_LOST, Some("a")), vec![what(11 * SECOND, TASKS_LOST, None)]);
        let changed = incident(8, what(12 * SECOND, LEADER_CHANGED, Some("b")), vec![]);
        others.take("own", vec![page("b", 1, 2, vec![lost, changed])]);
        let own = [
            incident(1, what(9 * SECOND, NODE_LOST, Some("z")), vec![]),
            incident(2, what(10 * SECOND, NODE_LOST, Some("a")), vec![]),
            incident(3, what(20 * SECOND, RESTARTED, None), vec![]),
        ];
        let all = others.with(own.iter());
        let told: Vec<String> = all.iter().map(|it| format!("{} {}", it.root.kind, it.victims.len())).collect();
        assert_eq!(told, ["node_lost 0", "node_lost 1", "leader_changed 0", "restarted 0"]);
        assert_eq!(all[1].root.message, "node_lost", "this node has seen it itself");
        assert!(all[2].root.message.contains("told by b") && all[2].id > 1 << 40);
        assert_eq!(all[1].victims[0].job, None, "runs of others have other numbers here");
    }

    #[test]
    fn a_newer_page_takes_the_place_of_an_older_one_and_none_is_taken_of_this_node() {
        let mut others = Others::default();
        let told = |others: &Others| others.pages().iter().map(|page| (page.mark.incarnation, page.mark.revision)).collect::<Vec<_>>();
        others.take("own", vec![page("b", 1, 5, vec![]), page("own", 9, 9, vec![])]);
        others.take("own", vec![page("b", 1, 4, vec![])]);
        assert_eq!((told(&others), others.revision()), (vec![(1, 5)], 1));
        others.take("own", vec![page("b", 2, 1, vec![])]);
        assert_eq!((told(&others), others.revision()), (vec![(2, 1)], 2));
        // Passed on to who does not know it, and to nobody else.
        let own = page("own", 1, 1, vec![]);
        assert_eq!(others.told(own.clone(), &BTreeMap::new()).len(), 2);
        assert!(others.told(own.clone(), &others.marks()).iter().map(|page| page.by.as_str()).eq(["own"]));
        let known = BTreeMap::from([("own".to_owned(), own.mark), ("b".to_owned(), PageMark { incarnation: 2, revision: 1 })]);
        assert!(others.told(own, &known).is_empty());
    }

    #[test]
    fn a_clock_that_is_off_is_noted_and_what_it_stamped_is_put_in_its_place() {
        let mut others = Others::default();
        others.take("own", vec![page("b", 1, 1, vec![incident(1, what(70 * SECOND, NODE_LOST, Some("a")), vec![])])]);
        // The answer took two seconds, and may have been written at either end of them.
        others.clock("b", 12 * SECOND + 500_000, 10 * SECOND, 12 * SECOND);
        assert!(!others.with([].iter())[0].root.message.contains("clock"));
        others.clock("b", 71 * SECOND, 10 * SECOND, 12 * SECOND);
        let all = others.with([].iter());
        assert_eq!(all[0].root.at_us, 10 * SECOND);
        assert!(all[0].root.message.contains("60000 ms ahead"), "{}", all[0].root.message);
    }

    #[test]
    fn pages_are_bounded_in_number_and_length() {
        let mut others = Others::default();
        let long = Happening { message: "x".repeat(1_000), ..what(0, NODE_LOST, Some("a")) };
        let many =
            |from: i64| (0..500).map(|at| incident(1, Happening { at_us: (from + at) * 60 * SECOND, ..long.clone() }, vec![])).collect();
        for node in 0..20 {
            others.take("own", vec![page(&format!("n{node}"), 1, 1, many(node * 1_000))]);
        }
        let pages = others.pages();
        assert!(pages.len() == MOST_PAGES && pages.iter().all(|page| page.by != "n0"), "the quietest went");
        assert!(pages.iter().all(|page| page.incidents.len() == MOST_OF_PAGE));
        assert_eq!(others.with([].iter()).len(), MOST_INCIDENTS);
        let told = others.told(page("own", 1, 1, vec![]), &BTreeMap::new());
        assert!((2..MOST_PAGES).contains(&told.len()), "the rest is told when it is asked for again: {}", told.len());
    }
}
