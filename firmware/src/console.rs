//! Text and numbers, without `core::fmt`: that takes more code than a network, and may panic.

/// Where text goes.
pub trait Console {
    /// Prints text.
    fn text(&mut self, text: &str);

    /// Prints a number.
    fn number(&mut self, number: usize) {
        let mut digits = [0; 20];
        let mut rest = number;
        let mut first = digits.len();
        for (place, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                first = place;
                break;
            }
        }
        self.text(core::str::from_utf8(digits.get(first..).unwrap_or_default()).unwrap_or_default());
    }

    /// Prints the bits of a number, eight hexadecimal digits.
    fn bits(&mut self, number: f32) {
        let mut bits = number.to_bits();
        let mut digits = [0; 8];
        for digit in &mut digits {
            let value = (bits >> 28) as u8;
            *digit = if value < 10 { b'0' + value } else { b'a' + (value - 10) };
            bits <<= 4;
        }
        self.text(core::str::from_utf8(&digits).unwrap_or_default());
    }

    /// Prints a number that is not negative with four decimals.
    fn decimal(&mut self, number: f32) {
        let whole = (number * 10_000.0 + 0.5) as usize;
        self.number(whole / 10_000);
        self.text(".");
        for place in [1000, 100, 10, 1] {
            self.number(whole / place % 10);
        }
    }
}

/// The standard output.
#[cfg(not(target_os = "none"))]
pub struct Standard;

#[cfg(not(target_os = "none"))]
impl Console for Standard {
    fn text(&mut self, text: &str) {
        print!("{text}");
    }
}
