//! Places for nodes that the layout does not place: rows of data go from left to right.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::MAX_NODES;
use crate::id::NodeId;

/// A node as the canvas draws it, in pixels, and the gaps that are left between two.
pub const NODE_WIDTH: f64 = 200.0;
pub const NODE_HEIGHT: f64 = 72.0;
const GAP_X: f64 = 80.0;
const GAP_Y: f64 = 48.0;

/// Gives every node a place: the one it has in `fixed`, else one to the right of what it reads where no other node is.
///
/// `nodes` are names and the names that each reads, in the file's order; the same nodes are always placed the same way.
pub fn arrange(nodes: &[(NodeId, Vec<NodeId>)], fixed: &BTreeMap<NodeId, [f64; 2]>) -> BTreeMap<NodeId, [f64; 2]> {
    let mut placed: BTreeMap<NodeId, [f64; 2]> =
        nodes.iter().filter_map(|(id, _)| fixed.get(id).map(|place| (id.clone(), *place))).collect();
    let start = first_free(&placed);
    if nodes.len() > MAX_NODES {
        // Looking for room takes the square of the nodes; a file that is refused anyway gets one column.
        let [x, y] = start;
        let column = nodes.iter().enumerate().map(|(at, (id, _))| (id.clone(), [x, y + at as f64 * (NODE_HEIGHT + GAP_Y)]));
        return column.chain(placed).collect();
    }
    for at in upstream_first(nodes) {
        let Some((id, inputs)) = nodes.get(at) else { continue };
        if placed.contains_key(id) {
            continue;
        }
        let wanted = beside(inputs, &placed).unwrap_or(start);
        let free = move_down(wanted, &placed);
        placed.insert(id.clone(), free);
    }
    placed
}

/// Below everything, at the left edge.
fn first_free(placed: &BTreeMap<NodeId, [f64; 2]>) -> [f64; 2] {
    let Some(left) = placed.values().map(|[x, _]| *x).min_by(f64::total_cmp) else { return [0.0, 0.0] };
    let bottom = placed.values().map(|[_, y]| *y).max_by(f64::total_cmp).unwrap_or(0.0);
    [left, bottom + NODE_HEIGHT + GAP_Y]
}

/// To the right of the rightmost input, at the inputs' middle height.
fn beside(inputs: &[NodeId], placed: &BTreeMap<NodeId, [f64; 2]>) -> Option<[f64; 2]> {
    let places: Vec<[f64; 2]> = inputs.iter().filter_map(|id| placed.get(id)).copied().collect();
    let right = places.iter().map(|[x, _]| *x).max_by(f64::total_cmp)?;
    let middle = places.iter().map(|[_, y]| *y).sum::<f64>() / places.len() as f64;
    Some([right + NODE_WIDTH + GAP_X, (middle / 8.0).round() * 8.0])
}

/// The first place at or below `wanted` that overlaps no node.
fn move_down(wanted: [f64; 2], placed: &BTreeMap<NodeId, [f64; 2]>) -> [f64; 2] {
    let [x, mut y] = wanted;
    let mut column: Vec<f64> = placed.values().filter(|[other, _]| (other - x).abs() < NODE_WIDTH).map(|[_, y]| *y).collect();
    column.sort_by(f64::total_cmp);
    for other in column {
        if (other - y).abs() < NODE_HEIGHT + GAP_Y / 2.0 {
            y = other + NODE_HEIGHT + GAP_Y;
        }
    }
    [x, y]
}

/// Indexes of the nodes, each after what it reads; those on a circle come last, in the file's order.
fn upstream_first(nodes: &[(NodeId, Vec<NodeId>)]) -> Vec<usize> {
    let index: BTreeMap<&NodeId, usize> = nodes.iter().enumerate().map(|(at, (id, _))| (id, at)).collect();
    let mut readers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut waits: Vec<usize> = Vec::with_capacity(nodes.len());
    for (at, (_, inputs)) in nodes.iter().enumerate() {
        let upstream: BTreeSet<usize> = inputs.iter().filter_map(|id| index.get(id).copied()).collect();
        waits.push(upstream.len());
        for from in upstream {
            readers.entry(from).or_default().push(at);
        }
    }
    let mut ready: VecDeque<usize> = waits.iter().enumerate().filter(|(_, waits)| **waits == 0).map(|(at, _)| at).collect();
    let mut order = Vec::with_capacity(nodes.len());
    let mut done: BTreeSet<usize> = BTreeSet::new();
    while let Some(at) = ready.pop_front() {
        order.push(at);
        done.insert(at);
        for reader in readers.get(&at).into_iter().flatten() {
            if let Some(left) = waits.get_mut(*reader) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    ready.push_back(*reader);
                }
            }
        }
    }
    order.extend((0..nodes.len()).filter(|at| !done.contains(at)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, inputs: &[&str]) -> (NodeId, Vec<NodeId>) {
        (NodeId::new(name), inputs.iter().map(NodeId::new).collect())
    }

    #[test]
    fn nodes_without_a_place_stand_to_the_right_of_what_they_read_and_never_on_another() {
        let nodes = [
            node("flights", &[]),
            node("flown", &["flights"]),
            node("hourly", &["flown"]),
            node("late", &["hourly"]),
            node("out", &["hourly"]),
        ];
        let placed = arrange(&nodes, &BTreeMap::new());
        let at = |name: &str| placed.get(&NodeId::new(name)).copied();
        assert_eq!(at("flights"), Some([0.0, 0.0]));
        assert_eq!(at("hourly"), Some([560.0, 0.0]));
        assert_eq!(at("late"), Some([840.0, 0.0]));
        assert_eq!(at("out"), Some([840.0, 120.0]));
    }

    #[test]
    fn a_placed_node_stays_and_a_new_one_finds_room_beside_it() {
        let nodes = [node("a", &[]), node("b", &["a"]), node("c", &["a"]), node("d", &[])];
        let fixed = BTreeMap::from([(NodeId::new("a"), [40.0, 16.0]), (NodeId::new("b"), [320.0, 16.0])]);
        let placed = arrange(&nodes, &fixed);
        assert_eq!(placed.get(&NodeId::new("a")), Some(&[40.0, 16.0]));
        assert_eq!(placed.get(&NodeId::new("c")), Some(&[320.0, 136.0]));
        assert_eq!(placed.get(&NodeId::new("d")), Some(&[40.0, 136.0]));
    }

    #[test]
    fn a_circle_is_placed_too() {
        let placed = arrange(&[node("a", &["b"]), node("b", &["a"])], &BTreeMap::new());
        assert_eq!(placed.len(), 2);
    }
}
