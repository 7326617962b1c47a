//! Rows in columns asked the same as plain rows.

use std::cmp::Ordering;

use millrace_expr::OrderTerm;
use millrace_model::Field;
use millrace_state::snapshot::{Reader, Writer};
use proptest::prelude::*;

use super::*;

type Plain = (Option<i64>, Option<String>, Option<f64>);

fn layout() -> RowLayout {
    RowLayout::visible(&Schema::new(vec![Field::new("n", Type::BigInt), Field::new("t", Type::Varchar), Field::new("x", Type::Double)]))
}

fn frame(rows: &[Plain]) -> DataFrame {
    df! {
        "n" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        "t" => rows.iter().map(|row| row.1.clone()).collect::<Vec<_>>(),
        "x" => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
    }
    .unwrap()
}

fn plain_rows(least: usize) -> impl Strategy<Value = Vec<Plain>> {
    let number = prop::option::weighted(0.8, -3i64..3);
    let text =
        prop::option::weighted(0.8, prop::sample::select(vec!["", "a", "a\0", "ab", "abcdefgh", "abcdefghi", "longer than twelve", "é"]));
    let float = prop::option::weighted(0.8, prop::sample::select(vec![f64::NEG_INFINITY, -1.5, 0.0, 2.0, f64::INFINITY, f64::NAN]));
    prop::collection::vec((number, text.prop_map(|text| text.map(str::to_owned)), float), least..40)
}

fn term(column: &str, is_descending: bool, nulls_first: bool) -> OrderTerm {
    OrderTerm { column: column.to_owned(), is_descending, nulls_first }
}

fn value<T>(a: Option<&T>, b: Option<&T>, term: &OrderTerm, compare: impl Fn(&T, &T) -> Ordering) -> Ordering {
    let null = if term.nulls_first { Ordering::Less } else { Ordering::Greater };
    match (a, b) {
        (Some(a), Some(b)) if term.is_descending => compare(a, b).reverse(),
        (Some(a), Some(b)) => compare(a, b),
        (None, None) => Ordering::Equal,
        (None, _) => null,
        (_, None) => null.reverse(),
    }
}

/// What SQL says of two rows.
fn compare(a: &Plain, b: &Plain, terms: &[OrderTerm]) -> Ordering {
    let by = |term: &OrderTerm| match term.column.as_str() {
        "n" => value(a.0.as_ref(), b.0.as_ref(), term, i64::cmp),
        "t" => value(a.1.as_ref(), b.1.as_ref(), term, |a, b| a.as_bytes().cmp(b.as_bytes())),
        _ => value(a.2.as_ref(), b.2.as_ref(), term, f64::total_cmp),
    };
    terms.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

proptest! {
    #[test]
    fn rows_sort_as_sql_says_and_leads_never_the_other_way_round(
        rows in plain_rows(2), first in prop::sample::select(vec!["n", "t", "x"]), ways in any::<[bool; 2]>(),
    ) {
        let (layout, frame) = (layout(), frame(&rows));
        let asked = [term(first, ways[0], ways[1])];
        let order = RowOrder::new(&layout, &asked);
        let all: Vec<OrderTerm> =
            asked.iter().cloned().chain(["n", "t", "x"].into_iter().filter(|name| *name != first).map(|name| term(name, false, false))).collect();
        let store = layout.read(&frame).unwrap();
        let leads = order.leads(&layout, frame.columns()).unwrap();
        let reversed = order.clone().reversed();
        for a in 0..rows.len() {
            prop_assert_eq!(leads[a], order.lead(&store, a as u32));
            for b in 0..rows.len() {
                let expected = compare(&rows[a], &rows[b], &all);
                prop_assert_eq!(order.compare(&store, a as u32, &store, b as u32), expected);
                prop_assert_eq!(reversed.compare(&store, a as u32, &store, b as u32), expected.reverse());
                prop_assert_eq!(order.compare_places(&store, a as u32, &store, b as u32), compare(&rows[a], &rows[b], &asked));
                prop_assert!(expected.is_gt() || leads[a] <= leads[b]);
            }
        }
    }

    #[test]
    fn rows_come_out_as_they_went_in_whatever_was_freed_between(
        rows in plain_rows(1), steps in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3), 1..120),
    ) {
        let layout = layout();
        let from = layout.read(&frame(&rows)).unwrap();
        let (mut store, mut model) = (layout.store(), Vec::<(u32, usize)>::new());
        for (at, what) in steps {
            let row = at.index(rows.len());
            match what {
                0 if !model.is_empty() => {
                    let (id, _) = model.swap_remove(at.index(model.len()));
                    store.free(id);
                }
                1 if !model.is_empty() => {
                    let at = at.index(model.len());
                    model[at].1 = row;
                    store.replace(model[at].0, &from, row as u32);
                }
                _ => model.push((store.push(&from, row as u32).unwrap(), row)),
            }
            prop_assert_eq!(store.len(), model.len());
        }
        let ids: Vec<u32> = model.iter().map(|(id, _)| *id).collect();
        let expected = frame(&model.iter().map(|(_, row)| rows[*row].clone()).collect::<Vec<_>>());
        let given = |store: &RowsStore, ids: &[u32]| DataFrame::new(ids.len(), layout.give(store, ids).unwrap()).unwrap();
        prop_assert!(expected.equals_missing(&given(&store, &ids)));
        let mut out = Writer::default();
        store.save(&ids, &mut out);
        let mut loaded = layout.store();
        let mut reader = Reader::new(out.as_bytes(), "a test");
        let ids = loaded.load(&mut reader).unwrap();
        reader.finish().unwrap();
        prop_assert!(expected.equals_missing(&given(&loaded, &ids)));
    }
}
