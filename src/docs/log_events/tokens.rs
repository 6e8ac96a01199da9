//! Splits Rust source text into the tokens that the search for log events needs.

/// Bytes before the quote of a raw string literal.
const LONGEST_PREFIX: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// An identifier, a keyword or a number.
    Word(String),
    /// The source text of a string literal, without its quotes.
    Text(String),
    /// Any other character.
    Mark(char),
}

/// The tokens of a source text, without comments, character literals and lifetimes.
pub(super) fn tokenize(source: &str) -> Vec<Token> {
    let (mut tokens, mut rest) = (Vec::new(), source);
    while let Some(first) = rest.chars().next() {
        let length = if let Some(length) = comment(rest).or_else(|| character(rest)) {
            length
        } else if let Some((length, text)) = string(rest) {
            tokens.push(Token::Text(text.to_owned()));
            length
        } else if is_of_a_word(first) {
            let length = rest.find(|other| !is_of_a_word(other)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..length].to_owned()));
            length
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Mark(first));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

fn is_of_a_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut place) = (0_usize, 0);
    while place < text.len() {
        let step = match &text.as_bytes()[place..] {
            [b'/', b'*', ..] => {
                depth += 1;
                2
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        place += step;
        if depth == 0 {
            break;
        }
    }
    Some(place)
}

/// The length of a character literal or of a lifetime's quote.
fn character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'').or_else(|| text.strip_prefix("b'"))?;
    let quotes = text.len() - inner.len();
    let mut characters = inner.char_indices();
    let (_, first) = characters.next()?;
    if first == '\\' {
        let (_, escaped) = characters.next()?;
        let after = 1 + escaped.len_utf8();
        return inner[after..].find('\'').map(|end| quotes + after + end + 1);
    }
    let after = first.len_utf8();
    Some(if inner[after..].starts_with('\'') { quotes + after + 1 } else { quotes })
}

/// The length of a string literal, and the text between its quotes.
fn string(text: &str) -> Option<(usize, &str)> {
    let prefix = text.bytes().take(LONGEST_PREFIX).position(|byte| byte == b'"')?;
    if !matches!(text[..prefix].trim_end_matches('#'), "" | "b" | "c" | "r" | "br" | "cr") {
        return None;
    }
    let hashes = text[..prefix].matches('#').count();
    let is_raw = text[..prefix].contains('r');
    if !is_raw && hashes > 0 {
        return None;
    }
    let inner = &text[prefix + 1..];
    let end = if is_raw {
        inner.find(&format!("\"{}", "#".repeat(hashes)))?
    } else {
        let mut escaped = false;
        inner.find(|character| match character {
            '"' if !escaped => true,
            other => {
                escaped = other == '\\' && !escaped;
                false
            }
        })?
    };
    Some((prefix + 1 + end + 1 + hashes, &inner[..end]))
}
