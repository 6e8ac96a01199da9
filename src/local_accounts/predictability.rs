//! Removes the characters of a password that those before them predict, so that only the rest counts for its strength.
//!
//! zxcvbn adds up the parts that it detects in a password. A repeated short unit, interleaved sequences (`aabbccdd`,
//! `a1b2c3d4`) and walks over neighboring columns of a keyboard (`1qaz2wsx3edc`) all consist of many parts.

/// The rows of a keyboard in the order of their keys. A column leans to the right, as its keys do.
const KEYBOARD: [&str; 4] = ["`1234567890-=", " qwertyuiop[]\\", " asdfghjkl;'", " zxcvbnm,./"];

/// The same keys with Shift, except for letters.
const SHIFTED: [&str; 4] = ["~!@#$%^&*()_+", "           {}|", "          :\"", "        <>?"];

/// The distance between the positions of two rows. It is larger than the length of a row.
const ROW: i32 = 100;

/// The number of characters in a row that must repeat earlier ones. Fewer are a coincidence.
const REPETITION: usize = 3;

/// The number of characters in a row that must be equally far from earlier ones.
const PROGRESSION: usize = 4;

/// The largest distance between the characters of a progression that are compared.
const LONGEST_PERIOD: usize = 8;

/// Returns the characters that are neither part of a repetition nor of a progression. The work grows with the square of the length,
/// which [`super::typed_password::MAX_LENGTH`] bounds.
pub fn unpredictable_part(password: &str) -> String {
    let chars: Vec<char> = password.chars().collect();
    let letters: Vec<Option<i32>> = chars.iter().map(|c| letter(*c)).collect();
    let keys: Vec<Option<i32>> = chars.iter().map(|c| key(*c)).collect();
    let mut is_predictable = vec![false; chars.len()];
    for period in 1..chars.len() {
        for codes in [&letters, &keys] {
            mark_runs(codes, period, &mut is_predictable);
            mark_counters(codes, period, &mut is_predictable);
        }
    }
    chars.iter().zip(is_predictable).filter(|(_, is_predictable)| !is_predictable).map(|(c, _)| c).collect()
}

/// Marks the characters in a row that all have the same distance to those one period before them.
fn mark_runs(codes: &[Option<i32>], period: usize, is_predictable: &mut [bool]) {
    let distance = |position: usize| Some(codes[position]? - codes[position - period]?);
    let mut begin = period;
    while begin < codes.len() {
        let step = distance(begin);
        let end = (begin + 1..codes.len()).find(|next| distance(*next) != step).unwrap_or(codes.len());
        if step.is_some_and(|step| end - begin >= shortest_run(step, period)) {
            is_predictable[begin..end].fill(true);
        }
        begin = end;
    }
}

/// Marks the characters in a row that all continue the distance between the two before them, each one period apart: a unit that is
/// repeated with a counter in it.
fn mark_counters(codes: &[Option<i32>], period: usize, is_predictable: &mut [bool]) {
    let distance = |position: usize| Some(codes[position]? - codes[position - period]?);
    let continues = |position: &usize| distance(*position).is_some_and(|step| distance(position - period) == Some(step));
    let mut begin = 2 * period;
    while period <= LONGEST_PERIOD && begin < codes.len() {
        let end = (begin..codes.len()).find(|position| !continues(position)).unwrap_or(codes.len());
        if end - begin >= period.max(PROGRESSION) {
            is_predictable[begin..end].fill(true);
        }
        begin = end + 1;
    }
}

fn shortest_run(step: i32, period: usize) -> usize {
    match step {
        0 => REPETITION,
        _ if period <= LONGEST_PERIOD => PROGRESSION,
        _ => usize::MAX,
    }
}

/// The place of a character in its alphabet, regardless of case.
fn letter(c: char) -> Option<i32> {
    i32::try_from(u32::from(c.to_lowercase().next().unwrap_or(c))).ok()
}

/// The place of a key on the keyboard.
fn key(c: char) -> Option<i32> {
    let c = c.to_ascii_lowercase();
    let mut rows = (0..).zip(KEYBOARD).chain((0..).zip(SHIFTED));
    rows.find_map(|(row, keys)| {
        let column = keys.chars().position(|key| key == c && key != ' ')?;
        Some(row * ROW + i32::try_from(column).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::repeated_unit("abcabcabcabc", "abc")]
    #[case::repeated_character("aaaaaaaaaaaa", "a")]
    #[case::near_repetition("abcXabcYabcQ", "abcXYQ")]
    #[case::another_case("PassWORDpassword", "PassWORD")]
    #[case::repeated_phrase("dog-cat-dog-cat-", "dog-cat-")]
    #[case::sequence("abcdefghijkl", "a")]
    #[case::backwards("987654321", "9")]
    #[case::doubled_sequence("aabbccddeeff", "aa")]
    #[case::interleaved_sequences("a1b2c3d4e5f6", "a1")]
    #[case::keyboard_row("qwertyuiop", "q")]
    #[case::keyboard_columns("1qaz2wsx3edc4rfv", "1qaz")]
    #[case::unit_with_a_counter("xy1xy2xy3xy4xy5xy6", "xy1xy2")]
    #[case::alternating_counters("1a1b1c1d1e1f1g1h1i", "1a1b")]
    #[case::counter_downwards("abc9abc8abc7abc6", "abc98")]
    #[case::keys_with_and_without_shift("1!2@3#4$5%6^7&8*", "1!")]
    #[case::columns_with_shift("ZAQ!XSW@CDE#", "ZAQ!")]
    #[case::dates("2024-03-17 winter oak", "2024-03-17 winter oak")]
    #[case::phrase("violin-otter-97-gravel", "violin-otter-97-gravel")]
    #[case::random("kT8#vq2!Lw9z", "kT8#vq2!Lw9z")]
    #[case::empty("", "")]
    fn only_the_characters_that_no_others_predict_remain(#[case] password: &str, #[case] expected: &str) {
        assert_eq!(unpredictable_part(password), expected);
    }

    proptest! {
        #[test]
        fn a_unit_that_is_repeated_counts_once(unit in "[ -~]{1,12}", times in 4_usize..10) {
            prop_assert!(unpredictable_part(&unit.repeat(times)).chars().count() <= unit.len());
        }

        #[test]
        fn the_rest_is_a_part_of_the_password_in_the_same_order(password in "\\PC{0,128}") {
            let mut rest = password.chars();
            for kept in unpredictable_part(&password).chars() {
                prop_assert!(rest.any(|c| c == kept));
            }
        }
    }
}
