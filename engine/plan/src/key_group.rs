//! The two functions that place a key: key to key group, key group to task.
//!
//! The idea is Flink's: state is owned by key group, so that a change of parallelism moves whole groups and splits none.

/// Key groups of a pipeline, unless its state was made with another number.
pub const DEFAULT_KEY_GROUPS: u16 = 1024;

/// The seed of the key hash. Part of the state's format: changing it moves every key.
pub const KEY_HASH_SEED: u64 = 0x4d69_6c6c_7261_6365;

/// The key group of a key, by the hash of its canonical bytes.
#[inline]
pub const fn key_group(hash: u64, groups: u16) -> u16 {
    // The high half of the product spreads evenly over any number of groups, without a division.
    ((hash as u128 * groups as u128) >> 64) as u16
}

/// The task that owns a key group: contiguous ranges, as even as they can be.
#[inline]
pub const fn task_of(group: u16, groups: u16, tasks: u32) -> u32 {
    (group as u64 * tasks as u64 / groups as u64) as u32
}

/// The key groups that a task owns: those that [`task_of`] gives it.
#[inline]
pub const fn groups_of(task: u32, groups: u16, tasks: u32) -> std::ops::Range<u16> {
    let tasks = if tasks == 0 { 1 } else { tasks as u64 };
    let (task, all) = (task as u64, groups as u64);
    (task * all).div_ceil(tasks) as u16..((task + 1) * all).div_ceil(tasks) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_one_task_and_ranges_are_contiguous_and_even() {
        for tasks in 1..=64 {
            let owners: Vec<u32> = (0..DEFAULT_KEY_GROUPS).map(|group| task_of(group, DEFAULT_KEY_GROUPS, tasks)).collect();
            assert!(owners.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1));
            assert_eq!(owners.last().copied(), Some(tasks - 1));
            for task in 0..tasks {
                let owned: Vec<u16> = (0..DEFAULT_KEY_GROUPS).filter(|group| owners[*group as usize] == task).collect();
                assert_eq!(groups_of(task, DEFAULT_KEY_GROUPS, tasks).collect::<Vec<_>>(), owned);
            }
            let sizes: Vec<usize> = (0..tasks).map(|task| owners.iter().filter(|owner| **owner == task).count()).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn the_last_hash_falls_into_the_last_group() {
        assert_eq!(key_group(u64::MAX, DEFAULT_KEY_GROUPS), DEFAULT_KEY_GROUPS - 1);
        assert_eq!(key_group(0, DEFAULT_KEY_GROUPS), 0);
    }
}
