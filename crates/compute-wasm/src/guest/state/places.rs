//! Where in a guest's memory a word asks it to stop.

/// How many places there are at most, and how many steps lead to one.
const MOST: usize = 8;

/// A word in a guest's memory, and the bits that are set in it.
///
/// It is found by a path of addresses: the first is one; to what it has become, each of the others is added, and all but the last lead on
/// to the address that stands there.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    path: Vec<u32>,
    bits: u32,
}

impl Interrupt {
    /// Reads places: of each, how many steps there are, these, and the bits.
    pub(in crate::guest) fn list(mut words: &[u32]) -> Option<Vec<Self>> {
        let mut list = Vec::new();
        while let [steps, rest @ ..] = words {
            let steps = usize::try_from(*steps).ok().filter(|steps| (1..=MOST).contains(steps))?;
            let (path, rest) = rest.split_at_checked(steps)?;
            let (bits, rest) = rest.split_first()?;
            list.push(Self { path: path.to_vec(), bits: *bits });
            words = rest;
        }
        (list.len() <= MOST).then_some(list)
    }

    /// Sets the bits; nothing, where the path leads out of the memory.
    pub(in crate::guest) fn set(&self, memory: &mut [u8]) {
        let word = |memory: &[u8], at: u32| {
            let bytes = memory.get(at as usize..).and_then(<[u8]>::first_chunk);
            bytes.copied().map(u32::from_le_bytes)
        };
        let Some((first, rest)) = self.path.split_first() else { return };
        let mut at = *first;
        for (number, step) in rest.iter().enumerate() {
            let Some(next) = at.checked_add(*step) else { return };
            let is_last = number + 1 == rest.len();
            let Some(found) = (if is_last { Some(next) } else { word(memory, next) }) else {
                return;
            };
            at = found;
        }
        let Some(now) = word(memory, at) else { return };
        if let Some(target) = memory.get_mut(at as usize..).and_then(<[u8]>::first_chunk_mut) {
            *target = (now | self.bits).to_le_bytes();
        }
    }
}
