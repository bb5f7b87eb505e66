//! Texts that are put together for one hit, in room that is used again for the next.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};

/// Texts that have room of their own. A link has at most six tags, a recipient and a few marks to decode; what is
/// said of a landing is put together in fewer.
const TEXTS: usize = 12;

/// Room for the texts of one hit: those before have made it large enough, so that nothing is allocated.
#[derive(Debug, Default)]
pub struct Texts {
    texts: [OnceCell<String>; TEXTS],
    /// Room of texts that are gone.
    spare: RefCell<Vec<String>>,
}

impl Texts {
    /// The text that `write` appends to an empty one, in this room; allocated where there is no room, as past
    /// twelve texts.
    pub fn put<'t>(room: Option<&'t Texts>, write: impl FnOnce(&mut String)) -> Cow<'t, str> {
        let spare = room.and_then(|room| room.spare.borrow_mut().pop());
        let mut text = spare.unwrap_or_default();
        write(&mut text);
        for place in room.into_iter().flat_map(|room| &room.texts) {
            match place.set(text) {
                Ok(()) => return Cow::Borrowed(place.get().map_or("", String::as_str)),
                Err(back) => text = back,
            }
        }
        Cow::Owned(text)
    }

    /// Forgets the texts and keeps their room.
    pub fn clear(&mut self) {
        let spare = self.spare.get_mut();
        for text in self.texts.iter_mut().filter_map(OnceCell::take) {
            spare.push(emptied(text));
        }
    }
}

fn emptied(mut text: String) -> String {
    text.clear();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_until_they_are_cleared_and_their_room_stays_longer() {
        let mut texts = Texts::default();
        for round in 0..3 {
            let put: Vec<Cow<'_, str>> = (0..2 * TEXTS)
                .map(|at| {
                    Texts::put(Some(&texts), |text| {
                        *text += &format!("text {at} of round {round}")
                    })
                })
                .collect();
            for (at, text) in put.iter().enumerate() {
                assert_eq!(*text, format!("text {at} of round {round}"));
                assert_eq!(matches!(text, Cow::Borrowed(_)), at < TEXTS);
            }
            texts.clear();
            assert_eq!(texts.spare.borrow().len(), TEXTS);
        }
    }
}
