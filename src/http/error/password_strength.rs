//! Maps the feedback of the password strength check to the pages' messages.

use zxcvbn::feedback::{Suggestion, Warning};

/// Returns the message about a weakness.
pub(super) fn warning(warning: Warning) -> &'static str {
    match warning {
        Warning::StraightRowsOfKeysAreEasyToGuess => "password-weak-rows",
        Warning::ShortKeyboardPatternsAreEasyToGuess => "password-weak-keyboard",
        Warning::RepeatsLikeAaaAreEasyToGuess => "password-weak-repeats",
        Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess => "password-weak-repeated-words",
        Warning::ThisIsATop10Password => "password-weak-top-10",
        Warning::ThisIsATop100Password => "password-weak-top-100",
        Warning::ThisIsACommonPassword => "password-weak-common",
        Warning::ThisIsSimilarToACommonlyUsedPassword => "password-weak-similar",
        Warning::SequencesLikeAbcAreEasyToGuess => "password-weak-sequences",
        Warning::RecentYearsAreEasyToGuess => "password-weak-years",
        Warning::AWordByItselfIsEasyToGuess => "password-weak-word",
        Warning::DatesAreOftenEasyToGuess => "password-weak-dates",
        Warning::NamesAndSurnamesByThemselvesAreEasyToGuess => "password-weak-names",
        Warning::CommonNamesAndSurnamesAreEasyToGuess => "password-weak-common-names",
    }
}

/// Returns the message with a suggestion.
pub(super) fn suggestion(suggestion: Suggestion) -> &'static str {
    match suggestion {
        Suggestion::UseAFewWordsAvoidCommonPhrases => "password-better-few-words",
        Suggestion::NoNeedForSymbolsDigitsOrUppercaseLetters => "password-better-no-symbols",
        Suggestion::AddAnotherWordOrTwo => "password-better-another-word",
        Suggestion::CapitalizationDoesntHelpVeryMuch => "password-better-capitals",
        Suggestion::AllUppercaseIsAlmostAsEasyToGuessAsAllLowercase => "password-better-all-uppercase",
        Suggestion::ReversedWordsArentMuchHarderToGuess => "password-better-reversed",
        Suggestion::PredictableSubstitutionsDontHelpVeryMuch => "password-better-substitutions",
        Suggestion::UseALongerKeyboardPatternWithMoreTurns => "password-better-longer-keyboard",
        Suggestion::AvoidRepeatedWordsAndCharacters => "password-better-no-repeats",
        Suggestion::AvoidSequences => "password-better-no-sequences",
        Suggestion::AvoidRecentYears => "password-better-no-years",
        Suggestion::AvoidYearsThatAreAssociatedWithYou => "password-better-no-own-years",
        Suggestion::AvoidDatesAndYearsThatAreAssociatedWithYou => "password-better-no-own-dates",
    }
}
