//! Three linear equations, by Cholesky's decomposition.

/// A symmetric matrix of three rows.
pub(super) type Matrix = [[f64; 3]; 3];

/// Least that a pivot is taken to be: a matrix of information has priors in it, so only rounding makes
/// it less.
const PIVOT_MIN: f64 = 1e-9;

/// The solution of `matrix` x = `right` for a positive definite matrix, the diagonal of its inverse, and
/// its determinant.
pub(super) fn solved(matrix: &Matrix, right: &[f64; 3]) -> ([f64; 3], [f64; 3], f64) {
    let mut lower = [[0.0; 3]; 3];
    let mut determinant = 1.0;
    for row in 0..3 {
        for column in 0..=row {
            let known: f64 = (0..column)
                .map(|at| lower[row][at] * lower[column][at])
                .sum();
            let left = matrix[row][column] - known;
            if row == column {
                let pivot = left.max(PIVOT_MIN);
                determinant *= pivot;
                lower[row][row] = pivot.sqrt();
            } else {
                lower[row][column] = left / lower[column][column];
            }
        }
    }
    let solve = |right: &[f64; 3]| {
        let mut found = *right;
        for row in 0..3 {
            let known: f64 = (0..row).map(|at| lower[row][at] * found[at]).sum();
            found[row] = (found[row] - known) / lower[row][row];
        }
        for row in (0..3).rev() {
            let known: f64 = (row + 1..3).map(|at| lower[at][row] * found[at]).sum();
            found[row] = (found[row] - known) / lower[row][row];
        }
        found
    };
    let mut inverse = [0.0; 3];
    for (at, variance) in inverse.iter_mut().enumerate() {
        let mut unit = [0.0; 3];
        unit[at] = 1.0;
        *variance = solve(&unit)[at];
    }
    (solve(right), inverse, determinant)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_found_solves_the_equations(
            rows in prop::array::uniform3(prop::array::uniform3(-3.0f64..3.0)),
            wanted in prop::array::uniform3(-5.0f64..5.0),
        ) {
            // A product with its own transpose, and a prior on each.
            let mut matrix: Matrix = [[0.0; 3]; 3];
            for row in 0..3 {
                for column in 0..3 {
                    matrix[row][column] = (0..3).map(|at| rows[row][at] * rows[column][at]).sum();
                }
                matrix[row][row] += 0.5;
            }
            let right = [0, 1, 2].map(|row: usize| (0..3).map(|at| matrix[row][at] * wanted[at]).sum());
            let (found, variance, determinant) = solved(&matrix, &right);
            for (found, wanted) in found.iter().zip(wanted) {
                prop_assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
            }
            // Cramer's rule for the inverse's diagonal.
            let minor = |a: usize, b: usize| matrix[a][a] * matrix[b][b] - matrix[a][b] * matrix[b][a];
            for (at, (a, b)) in [(1, 2), (0, 2), (0, 1)].into_iter().enumerate() {
                let expected = minor(a, b) / determinant;
                prop_assert!((variance[at] - expected).abs() < 1e-6 * (1.0 + expected));
            }
        }
    }
}
