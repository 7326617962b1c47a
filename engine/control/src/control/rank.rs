//! Who holds what: rendezvous hashing (Thaler and Ravishankar, 1998). Each node draws a number for each deployment, and the highest hold it: a node that
//! comes or goes moves what is its own, and nothing else.

use xxhash_rust::xxh3::xxh3_64;

/// Node names in the order in which they hold a deployment's epochs.
pub fn ranked<'a>(deployment: &str, nodes: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let drawn = |node: &str| {
        let mut bytes = Vec::with_capacity(deployment.len() + node.len() + 8);
        // The length keeps two pairs apart that read the same in one.
        bytes.extend_from_slice(&(deployment.len() as u64).to_le_bytes());
        bytes.extend_from_slice(deployment.as_bytes());
        bytes.extend_from_slice(node.as_bytes());
        xxh3_64(&bytes)
    };
    let mut nodes: Vec<(u64, &str)> = nodes.into_iter().map(|node| (drawn(node), node)).collect();
    nodes.sort_unstable_by(|a, b| b.cmp(a));
    nodes.dedup();
    nodes.into_iter().map(|(_, node)| node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_goes_moves_nothing_but_what_was_its_own() {
        let all = ["a", "b", "c", "d", "e"];
        let mut moved = 0;
        for deployment in (0..200).map(|number| format!("deployment-{number}")) {
            let (before, after) = (ranked(&deployment, all), ranked(&deployment, all.into_iter().filter(|node| *node != "c")));
            assert_eq!(before.iter().copied().filter(|node| *node != "c").collect::<Vec<_>>(), after);
            moved += usize::from(before[..2].contains(&"c"));
        }
        assert!((50..=110).contains(&moved), "each holds about its share: {moved} of 200");
    }
}
