//! The front of designs that no other beats in both of two numbers.

/// Positions of the points that are not dominated, larger being better in both coordinates; by rising x, then y.
///
/// A point is dominated if another is at least as good in both and better in one; of equal points the first stays.
/// Points that are not finite are left out. O(n log n).
pub fn front(points: &[(f64, f64)]) -> Vec<usize> {
    let mut order: Vec<usize> =
        (0..points.len()).filter(|&i| points[i].0.is_finite() && points[i].1.is_finite()).collect();
    // From the largest x down; of equal x the largest y first, then the first given.
    order.sort_by(|&a, &b| {
        points[b].0.total_cmp(&points[a].0).then(points[b].1.total_cmp(&points[a].1)).then(a.cmp(&b))
    });
    let mut best = f64::NEG_INFINITY;
    order.retain(|&i| {
        let better = points[i].1 > best;
        best = best.max(points[i].1);
        better
    });
    order.reverse();
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_what_no_other_point_dominates() {
        let points =
            [(1.0, 5.0), (2.0, 4.0), (1.5, 4.0), (3.0, 1.0), (2.0, 4.0), (0.5, 5.0), (f64::NAN, 9.0)];
        assert_eq!(front(&points), [0, 1, 3]);
        assert!(front(&[]).is_empty());
    }
}
