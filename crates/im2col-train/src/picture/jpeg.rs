//! JPEG files with ones behind their data, so that a decoder finds out where these end too early.

use std::ops::Range;

use crate::file::FormatError;

/// Bytes of ones that a decoder finds behind the data, as they are written there: `FF 00`.
const ONES: usize = 64;
const START_LEN: usize = 2;
const MARKER_LEN: usize = 2;
const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;
const ADOBE: u8 = 0xEE;
/// Of the segment, besides its components: length, precision, height, width, their number.
const FRAME_HEAD_LEN: usize = 8;
const COMPONENT_LEN: usize = 3;

/// A JPEG file up to its end-of-image marker, with ones before that.
///
/// A decoder that has all pixels never reads the ones. One whose data have ended too early reads a code that no
/// Huffman table has, since none consists of ones only (ITU-T T.81, C.2). Bytes between two segments of the head are
/// dropped.
pub(super) fn with_ones_before_the_end(file: &[u8]) -> Result<Vec<u8>, FormatError> {
    let mut copy = Vec::with_capacity(file.len() + 2 * ONES);
    let mut has_frame = false;
    for part in Parts::of(file) {
        let part = part?;
        check_segment(&file[part.marker..part.bytes.end], part.marker, &mut has_frame)?;
        copy.extend_from_slice(&file[part.bytes]);
    }
    let end = copy.split_off(copy.len() - MARKER_LEN);
    copy.extend([0xFF, 0x00].repeat(ONES));
    copy.extend(end);
    Ok(copy)
}

/// Refuses a frame with more samples of another component than of the first, which is brightness; a second frame; and behind
/// the frame Adobe's segment, which says what the components are. Encoders write none of these, and the decoder panics on the
/// first and the last. `segment` begins with its marker, at `offset` of the file.
fn check_segment(segment: &[u8], offset: usize, has_frame: &mut bool) -> Result<(), FormatError> {
    let &[0xFF, marker, ref segment @ ..] = segment else { return Ok(()) };
    let refused = |problem: String| {
        Err(FormatError::new(format!("JPEG segment ff {marker:02x}"), offset as u64, problem))
    };
    match marker {
        ADOBE if *has_frame => refused("it stands behind the frame".to_owned()),
        0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
            if std::mem::replace(has_frame, true) {
                return refused("a second frame".to_owned());
            }
            let components = segment.get(FRAME_HEAD_LEN..).unwrap_or_default().chunks_exact(COMPONENT_LEN);
            let mut samples = components.map(|component| [component[1] >> 4, component[1] & 15]);
            let Some(first) = samples.next() else { return Ok(()) };
            match samples.position(|other| other[0] > first[0] || other[1] > first[1]) {
                None => Ok(()),
                Some(i) => refused(format!("component {} has more samples than the first", i + 2)),
            }
        }
        _ => Ok(()),
    }
}

/// Where in the file a decoder is that has come to this position of the copy.
pub(super) fn offset_in_file(file: &[u8], mut position: u64) -> u64 {
    for part in Parts::of(file).map_while(Result::ok) {
        if position <= part.bytes.len() as u64 {
            return part.bytes.start as u64 + position;
        }
        position -= part.bytes.len() as u64;
    }
    file.len() as u64
}

/// A marker and the segment that it begins, in a scan with the data before.
struct Part {
    bytes: Range<usize>,
    marker: usize,
}

/// The parts of a JPEG file that are decoded, up to its end-of-image marker, where the last one ends.
struct Parts<'a> {
    file: &'a [u8],
    offset: usize,
    is_in_scan: bool,
    has_ended: bool,
}

impl<'a> Parts<'a> {
    fn of(file: &'a [u8]) -> Self {
        Self { file, offset: 0, is_in_scan: false, has_ended: false }
    }

    fn part(&mut self) -> Result<Part, FormatError> {
        let (file, start) = (self.file, self.offset);
        let truncated = |field: String, offset: usize| {
            FormatError::new(field, offset as u64, format!("truncated: the file ends at byte {}", file.len()))
        };
        if start == 0 && file.len() >= START_LEN {
            return Ok(Part { bytes: 0..START_LEN, marker: 0 });
        }
        // Not a stuffed byte of ones, a byte that fills, a restart, or the marker without meaning.
        let is_marker = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0x01 | 0xD0..=0xD7 | 0xFF);
        let before = file[start..].windows(MARKER_LEN).position(is_marker).ok_or_else(|| {
            truncated(if self.is_in_scan { "JPEG scan" } else { "JPEG marker" }.to_owned(), start)
        })?;
        let at = start + before;
        let start = if self.is_in_scan { start } else { at };
        let (marker, segment) = (file[at + 1], &file[at + MARKER_LEN..]);
        if marker == END_OF_IMAGE {
            self.has_ended = true;
            return Ok(Part { bytes: start..at + MARKER_LEN, marker: at });
        }
        let len = segment.first_chunk().map(|len| usize::from(u16::from_be_bytes(*len)));
        let len = len.filter(|&len| len <= segment.len());
        let len = len.ok_or_else(|| truncated(format!("JPEG segment ff {marker:02x}"), at))?;
        self.is_in_scan |= marker == START_OF_SCAN;
        Ok(Part { bytes: start..at + MARKER_LEN + len, marker: at })
    }
}

impl Iterator for Parts<'_> {
    type Item = Result<Part, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let part = self.part();
        match &part {
            Ok(part) => self.offset = part.bytes.end,
            Err(_) => self.has_ended = true,
        }
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_between_segments_are_dropped_and_counted() {
        // Start, rubbish, a comment of one byte, a scan without a header, end, rubbish.
        let file = *b"\xff\xd8..\xff\xfe\0\x03c\xff\xda\0\x02data\xff\xd9..";
        let copy = with_ones_before_the_end(&file).unwrap();
        assert!(copy.starts_with(b"\xff\xd8\xff\xfe\0\x03c\xff\xda\0\x02data\xff\0\xff\0"));
        assert!(copy.ends_with(b"\xff\0\xff\xd9"));
        assert_eq!(copy.len(), file.len() - 4 + 2 * ONES);
        assert_eq!(
            [0, 2, 3, 7, 15, 17, 18, 99].map(|position| offset_in_file(&file, position)),
            [0, 2, 5, 9, 17, 19, 21, 21]
        );
    }

    #[test]
    fn only_the_first_component_may_have_the_most_samples() {
        let frame = |samples: [u8; 3]| {
            let [a, b, c] = samples;
            let segment = [0, 17, 8, 0, 9, 0, 9, 3, 1, a, 0, 2, b, 0, 3, c, 0];
            [b"\xff\xd8\xff\xc0".as_slice(), &segment, b"\xff\xd9"].concat()
        };
        for samples in [[0x11, 0x11, 0x11], [0x22, 0x11, 0x11], [0x21, 0x21, 0x11]] {
            assert!(with_ones_before_the_end(&frame(samples)).is_ok(), "{samples:x?}");
        }
        for (samples, component) in [([0x11, 0x21, 0x11], 2), ([0x21, 0x11, 0x12], 3)] {
            let said = with_ones_before_the_end(&frame(samples)).unwrap_err().to_string();
            let expected = format!(
                "JPEG segment ff c0 at byte 2: component {component} has more samples than the first"
            );
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn second_frames_and_late_adobe_segments_are_refused() {
        let frame = b"\xff\xc0\0\x0b\x08\0\x09\0\x09\x01\x01\x11\0".as_slice();
        let (start, scan, adobe, end) = (b"\xff\xd8", b"\xff\xda\0\x02data", b"\xff\xee\0\x02", b"\xff\xd9");
        let said =
            |parts: &[&[u8]]| with_ones_before_the_end(&parts.concat()).map_err(|error| error.to_string());
        assert!(said(&[start, adobe, frame, scan, end]).is_ok());
        let behind = "JPEG segment ff ee at byte 15: it stands behind the frame".to_owned();
        assert_eq!(said(&[start, frame, adobe, scan, end]), Err(behind));
        let behind = "JPEG segment ff ee at byte 23: it stands behind the frame".to_owned();
        assert_eq!(said(&[start, frame, scan, adobe, end]), Err(behind));
        assert_eq!(
            said(&[start, frame, scan, frame, end]),
            Err("JPEG segment ff c0 at byte 23: a second frame".to_owned())
        );
    }

    #[test]
    fn what_is_cut_off_is_named() {
        let said = |file: &[u8]| with_ones_before_the_end(file).unwrap_err().to_string();
        assert_eq!(said(b"\xff\xd8.."), "JPEG marker at byte 2: truncated: the file ends at byte 4");
        assert_eq!(
            said(b"\xff\xd8..\xff\xfe\0\x09c"),
            "JPEG segment ff fe at byte 4: truncated: the file ends at byte 9"
        );
        assert_eq!(
            said(b"\xff\xd8\xff\xda\0\x02data"),
            "JPEG scan at byte 6: truncated: the file ends at byte 10"
        );
        assert_eq!(said(b"\xff"), "JPEG marker at byte 0: truncated: the file ends at byte 1");
    }
}
