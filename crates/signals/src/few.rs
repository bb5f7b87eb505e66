//! A list that seldom has more than a few elements.

/// A list whose first `N` elements have their place in it; only what comes behind them is on the heap.
#[derive(Debug, Clone)]
pub struct Few<T, const N: usize> {
    first: [Option<T>; N],
    more: Vec<T>,
}

impl<T, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Few {
            first: [const { None }; N],
            more: Vec::new(),
        }
    }
}

impl<T, const N: usize> Few<T, N> {
    pub(crate) fn push(&mut self, element: T) {
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(element),
            None => self.more.push(element),
        }
    }

    /// The elements, in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().flatten().chain(&self.more)
    }

    /// The first element.
    pub fn first(&self) -> Option<&T> {
        self.iter().next()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_as_few() {
        let mut list = Few::<u32, 2>::default();
        assert!(list.is_empty());
        for at in 0..5 {
            list.push(at);
            assert!(list.iter().copied().eq(0..=at));
            assert_eq!(list.first(), Some(&0));
        }
    }
}
