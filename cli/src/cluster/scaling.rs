//! What runs want of their numbers of tasks, in words.

use millrace_engine::wire::autoscale::{Advice, AutoscaleFigures};
use millrace_engine::wire::cluster::{Cluster, ClusterJob};

use super::columns::Side::{Left, Right};
use super::columns::table;

/// In how many tasks runs would do what is wanted of them. None if all are as they should be.
pub fn scaling(cluster: &Cluster) -> Option<String> {
    let line = |job: &ClusterJob, of: &AutoscaleFigures, advice: &Advice| {
        let tasks = if advice.is_change() { format!("{} to {}", advice.tasks, advice.wanted) } else { advice.tasks.to_string() };
        let why: Vec<&str> =
            [Some(&advice.cause), advice.bound.as_ref(), of.waits.as_ref()].into_iter().flatten().map(String::as_str).collect();
        vec![job.job.0.to_string(), of.mode.name().to_owned(), advice.node.to_string(), tasks, why.join("; ")]
    };
    let of_job = |job: &ClusterJob| -> Vec<Vec<String>> {
        job.autoscale.iter().flat_map(|of| of.advice.iter().map(|advice| line(job, of, advice))).collect()
    };
    let lines: Vec<Vec<String>> = cluster.jobs.iter().flat_map(of_job).collect();
    let titles = [("RUN", Right), ("AUTOSCALE", Left), ("NODE", Left), ("TASKS", Right), ("WHY", Left)];
    (!lines.is_empty()).then(|| table(&titles, &lines))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use millrace_engine::model::AutoscaleMode;

    use super::super::words::tests::job;
    use super::*;

    #[test]
    fn a_run_says_what_it_would_change_and_why_it_does_not_yet() {
        let advice = |node: &str, wanted, bound: Option<&str>| Advice {
            node: node.into(),
            with: Vec::new(),
            tasks: 2,
            wanted,
            needed: 3,
            cause: format!("{node} is 96 % busy"),
            bound: bound.map(str::to_owned),
            asks: BTreeMap::new(),
        };
        let autoscale = AutoscaleFigures {
            mode: AutoscaleMode::On,
            target_utilisation: 0.8,
            advice: vec![advice("count", 3, None), advice("out", 2, Some("it has one task"))],
            waits: Some("it cools down for 7 s more".to_owned()),
            decided: None,
        };
        let mut cluster = Cluster { jobs: vec![ClusterJob { autoscale: Some(autoscale), ..job(0, 0) }], ..Cluster::default() };
        let text = scaling(&cluster).unwrap();
        let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines[1], "3 on count 2 to 3 count is 96 % busy; it cools down for 7 s more");
        assert_eq!(lines[2], "3 on out 2 out is 96 % busy; it has one task; it cools down for 7 s more");
        cluster.jobs.iter_mut().for_each(|job| job.autoscale = None);
        assert_eq!(scaling(&cluster), None);
    }
}
