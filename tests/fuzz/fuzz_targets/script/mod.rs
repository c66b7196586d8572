//! The fuzzer's input as a script of what happens.

/// What is left of the input.
pub struct Script<'a>(pub &'a [u8]);

impl<'a> Script<'a> {
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next octet; 0 at the end.
    pub fn octet(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// As many octets as the next one says, or what is left.
    pub fn chunk(&mut self) -> &'a [u8] {
        let length = usize::from(self.octet()).min(self.0.len());
        let (chunk, rest) = self.0.split_at(length);
        self.0 = rest;
        chunk
    }
}
