//! Minimising a smooth function of many variables: limited-memory BFGS (Nocedal and Wright 2006,
//! algorithms 7.4 and 3.1), with the value and the gradient from one pass over the data.

/// Steps that the curvature is taken from.
const MEMORY: usize = 10;
/// Sufficient decrease, as a share of what the slope promises (Armijo).
const DECREASE: f64 = 1e-4;
/// A line search gives up after so many halvings.
const HALVINGS: usize = 20;

/// Minimises from `start`. `value` writes the gradient into its second argument. Stops after
/// `steps`, or where a step gains less than `tolerance` relatively. A start whose value is no number
/// comes back as it is.
pub fn minimise(
    start: &[f64],
    steps: usize,
    tolerance: f64,
    mut value: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Vec<f64> {
    let mut at = start.to_vec();
    let mut gradient = vec![0.0; at.len()];
    let mut now = value(&at, &mut gradient);
    let mut memory: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    for _ in 0..steps {
        let direction = direction(&gradient, &memory);
        let slope = dot(&direction, &gradient);
        // Nor where it is no number.
        if slope >= 0.0 || slope.is_nan() {
            break;
        }
        let mut length = match memory.is_empty() {
            true => (1.0 / dot(&gradient, &gradient).sqrt()).min(1.0),
            false => 1.0,
        };
        let mut next = vec![0.0; at.len()];
        let mut next_gradient = vec![0.0; at.len()];
        let mut then = f64::INFINITY;
        for _ in 0..HALVINGS {
            for ((next, at), direction) in next.iter_mut().zip(&at).zip(&direction) {
                *next = at + length * direction;
            }
            then = value(&next, &mut next_gradient);
            if then <= now + DECREASE * length * slope {
                break;
            }
            length /= 2.0;
        }
        if then >= now || then.is_nan() {
            break;
        }
        let step: Vec<f64> = next.iter().zip(&at).map(|(a, b)| a - b).collect();
        let turn: Vec<f64> = (next_gradient.iter().zip(&gradient))
            .map(|(a, b)| a - b)
            .collect();
        let curvature = dot(&step, &turn);
        if curvature > 1e-12 * dot(&turn, &turn) {
            if memory.len() == MEMORY {
                memory.remove(0);
            }
            memory.push((step, turn, curvature));
        }
        let gain = (now - then) / now.abs().max(1e-12);
        (at, gradient, now) = (next, next_gradient, then);
        if gain < tolerance {
            break;
        }
    }
    at
}

fn direction(gradient: &[f64], memory: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for (step, turn, curvature) in memory.iter().rev() {
        let share = dot(step, &direction) / curvature;
        add(&mut direction, -share, turn);
        shares.push(share);
    }
    if let Some((_, turn, curvature)) = memory.last() {
        let scale = curvature / dot(turn, turn);
        direction.iter_mut().for_each(|value| *value *= scale);
    }
    for ((step, turn, curvature), share) in memory.iter().zip(shares.iter().rev()) {
        let back = dot(turn, &direction) / curvature;
        add(&mut direction, share - back, step);
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], times: f64, what: &[f64]) {
    for (to, what) in to.iter_mut().zip(what) {
        *to += times * what;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rosenbrock_s_valley_is_walked_to_its_end() {
        let found = minimise(&[-1.2, 1.0], 200, 0.0, |at, gradient| {
            let [x, y] = [at[0], at[1]];
            gradient[0] = -400.0 * x * (y - x * x) - 2.0 * (1.0 - x);
            gradient[1] = 200.0 * (y - x * x);
            100.0 * (y - x * x) * (y - x * x) + (1.0 - x) * (1.0 - x)
        });
        assert!(
            (found[0] - 1.0).abs() < 1e-4 && (found[1] - 1.0).abs() < 1e-4,
            "{found:?}"
        );
    }

    #[test]
    fn a_function_that_is_no_number_changes_nothing() {
        let found = minimise(&[3.0], 10, 0.0, |_, gradient| {
            gradient[0] = f64::NAN;
            f64::NAN
        });
        assert_eq!(found, [3.0]);
    }
}
