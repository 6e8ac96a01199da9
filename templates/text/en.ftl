# Every word of the pages, in Project Fluent's syntax (https://projectfluent.org). A translation is a file like this one,
# with a language of its own; what it leaves out is said in English. Tags are HTML and stay as they are.

language = en
direction = ltr

## Said in many places

skip = Skip to the content
email = Email
password = Password
role = Role
teams = Teams
none = None
cancel = Cancel
copy = Copy
copied = Copied
lasts = Lasts
by-password = Email and password
date = { $day } { $month ->
    [1] January
    [2] February
    [3] March
    [4] April
    [5] May
    [6] June
    [7] July
    [8] August
    [9] September
    [10] October
    [11] November
   *[12] December
} { $year }
date-time = { date }, { $hour }:{ $minute }{ "\u00A0" }UTC
duration-days = { $count ->
    [one] 1 day
   *[other] { $count } days
}
duration-hours = { $count ->
    [one] 1 hour
   *[other] { $count } hours
}
duration-minutes = { $count ->
    [one] 1 minute
   *[other] { $count } minutes
}
duration-seconds = { $count ->
    [one] 1 second
   *[other] { $count } seconds
}
rule-default = The default role: no rule of the role map matches you.
rule-invitation = Given by your invitation.
rule-named = Given by the rule <code><bdi>{ $rule }</bdi></code>
rule-none = No rule of the role map matches you. An administrator can add one.

## The way to the other pages

nav-label = Pages
nav-administration = Administration
nav-account = Account
nav-keys = Keys
nav-sessions = Sessions
nav-sign-in = Sign-in
nav-people = People
nav-invitations = Invitations
nav-role-map = Role map
nav-sign-out = Sign out

## Sign-in

sign-in-title = Sign in
sign-in-away = You continue at your identity provider and come back when you are done.
sign-in-continue = Continue with <bdi>{ $provider }</bdi>
sign-in-choose = Choose an account to sign in with.
sign-in-or = or
sign-in-button = Sign in
sign-in-forgotten = Forgot your password? Ask { $contact } for a new invitation.
sign-in-problem-wrong = Email or password is wrong. Check both and try again.
sign-in-problem-many = That was tried too often. Wait { $time }, then try again.
sign-in-problem-busy = Too many people are signing in right now. Wait a moment and try again.
sign-in-problem-cookies = Your browser did not send back a cookie of this site. Allow cookies, then try again.

not-configured-title = No identity provider yet
not-configured-lead = Vestibule is running, but nobody can sign in until it knows an identity provider.
not-configured-facts = What is on
not-configured-next = What to do next
not-configured-register = Register Vestibule as a client at your identity provider, with this redirect URI (it begins with <code>public_url</code>):
not-configured-describe = Describe the provider in a file, here <code>vestibule.yaml</code>:
not-configured-example = Example of vestibule.yaml
not-configured-check = Check the file, then start again with it:
not-configured-commands = Commands

sign-out-title = Sign out
sign-out-ask = Sign out?
sign-out-both = This ends your session in this browser. You then go on to <bdi>{ $provider }</bdi>, which signs you out there as well.
sign-out-here-only = This ends your session in this browser. At your identity provider you may stay signed in.
sign-out-here = This ends your session in this browser.
sign-out-button = Sign out
sign-out-stay = Stay signed in

signed-out-title = Signed out
signed-out-heading = You are signed out
signed-out-lead = Your session in this browser has ended.
signed-out-again = Sign in again

## Passwords

password-current = Current password
password-new = New password
password-repeat = New password again
password-rules = { $minimum ->
    [one] At least 1 character.
   *[other] At least { $minimum } characters. A few words that don't belong together are easy to remember and hard to guess.
}
password-problem-wrong = The current password is wrong. Type it once more.
password-problem-short = The password is too short. Use at least { $minimum ->
    [one] 1 character
   *[other] { $minimum } characters
}.
password-problem-long = The password is too long. Use a shorter one: 128 letters without accents fit.
password-problem-weak = The password is too easy to guess.
password-problem-mismatch = The two passwords differ. Type the same one twice.
password-problem-many = That was tried too often. Wait { $time }, then try again.
password-problem-busy = Too many people are signing in right now. Wait a moment and try again.

# What a strength check says of a weak password, and how it gets better.
password-weak-rows = A row of keys is easy to guess.
password-weak-keyboard = A short pattern on the keyboard is easy to guess.
password-weak-repeats = Repeats such as “aaa” are easy to guess.
password-weak-repeated-words = Repeats such as “abcabcabc” are hardly harder to guess than “abc”.
password-weak-top-10 = It is one of the ten commonest passwords.
password-weak-top-100 = It is one of the hundred commonest passwords.
password-weak-common = It is a very common password.
password-weak-similar = It is much like a common password.
password-weak-sequences = Sequences such as abc or 6543 are easy to guess.
password-weak-years = A recent year is easy to guess.
password-weak-word = A word by itself is easy to guess.
password-weak-dates = Dates are often easy to guess.
password-weak-names = A name by itself is easy to guess.
password-weak-common-names = Common names are easy to guess.
password-better-few-words = Take a few words that don’t belong together.
password-better-no-symbols = It needs no symbols, digits or capital letters.
password-better-another-word = Add another word or two, uncommon ones.
password-better-capitals = Capital letters don’t help much.
password-better-all-uppercase = All capitals are almost as easy to guess as none.
password-better-reversed = Words written backwards are hardly harder to guess.
password-better-substitutions = Replacements such as “@” for “a” don’t help much.
password-better-longer-keyboard = Take a longer pattern on the keyboard, with more turns.
password-better-no-repeats = Avoid repeated words and letters.
password-better-no-sequences = Avoid sequences.
password-better-no-years = Avoid recent years.
password-better-no-own-years = Avoid years that have to do with you.
password-better-no-own-dates = Avoid dates and years that have to do with you.

onboarding-title = Set your password
onboarding-lead = You were invited to <bdi>{ $site }</bdi>.
onboarding-lead-role = You were invited to <bdi>{ $site }</bdi>, with the role <bdi>{ $role }</bdi>.
onboarding-button = Set password and sign in
onboarding-until = The link is good once, until { $time }.

## One's own account

home-title = Your account
home-signed-in-as = Signed in as
home-by = Signed in with
home-session = Session
home-ends = Ends on <time datetime="{ $at }">{ $time }</time>
home-idle = Or earlier, after { $time } without use.

sessions-title = Your sessions
sessions-lead = The browsers in which you are signed in. End those that you don't know.
browser-on = { $browser } on { $system }
sessions-unknown-browser = Unknown browser
sessions-this-browser = This browser
sessions-by-provider = Signed in with <bdi>{ $provider }</bdi>
sessions-by-password = Signed in with email and password
sessions-times = Since { $begun }, last used { $used }
sessions-end = End
sessions-end-this = End the session since { $begun }
sessions-end-others = End all others
sessions-end-others-explained = Every other browser is signed out at once. This one stays signed in, and your keys go on working.
sessions-end-others-button = End all other sessions

methods-title = Sign-in methods
methods-stale = To link or unlink an account, sign in once more: your sign-in is too long ago. <a href="{ $href }">Sign in</a>
methods-accounts = Linked accounts
methods-accounts-explained = Each of them signs you in as the same person.
methods-password = Email and password
methods-verified = Last verified on { $day }
methods-unlink = Unlink
methods-unlink-this = Unlink { $account }
methods-unlink-explained = You can't sign in with this account any more, and this signs you out in every other browser. What it gave you, such as a role and teams, goes with it.
methods-unlink-button = Unlink <bdi>{ $account }</bdi>
methods-link = Link another account
methods-link-explained = You prove at the provider that the account there is yours. After that it signs you in here too.
methods-link-button = Link <bdi>{ $provider }</bdi>
methods-change-password = Change password
methods-change-password-button = Change password
methods-change-password-explained = This signs you out in every other browser.
methods-password-changed = Your password is changed. All your other sessions were ended.
methods-unlinked = Your account at <bdi>{ $provider }</bdi> is not linked any more.

link-away-title = Link an account
link-away-heading = Link <bdi>{ $provider }</bdi>
link-away-explained = You go on to <bdi>{ $provider }</bdi> to prove that the account there is yours.
link-away-button = Go on to <bdi>{ $provider }</bdi>

## Keys

keys-title = Your keys
keys-lead = A key gives a program what you have yourself, and no more. It ends when it expires, when you revoke it, or when you lose access.
keys-copy-now = Copy <bdi>{ $name }</bdi> now
keys-shown-once = It is shown this once only.
keys-stale = To make a key, sign in once more: your sign-in is too long ago. <a href="{ $href }">Sign in</a>
keys-name = Name
keys-make = Make a key
keys-narrow-it = Narrow it
keys-highest-role = Highest role
keys-role-mine = My own
keys-role-unchanged = As it is
keys-only-teams = Only these teams
keys-only-teams-hint = Tick none, and it has all of yours.
keys-only-teams-unchanged = Tick none, and they stay as they are.
keys-only-paths = Only these paths
keys-only-paths-hint = One pattern a line, such as <code>/v1/**</code>. Leave it empty for all.
keys-may-manage = May manage keys
keys-may-manage-hint = The program can make, list and revoke keys below this one, never wider ones.
keys-may-manage-people = May manage people
keys-may-manage-people-hint = The program can invite, disable and delete people as you can. It can't be narrowed to teams or paths.
keys-none = You have no keys.
keys-without-name = Without a name
keys-manages = Manages keys
keys-manages-people = Manages people
keys-facts = Made { $made }, ends { $ends }, last used { $used }
keys-facts-unused = Made { $made }, ends { $ends }, not used yet
keys-narrowed-to = Narrowed to
keys-up-to-role = Role up to <bdi>{ $role }</bdi>
keys-team = Team <bdi>{ $team }</bdi>
keys-no-teams = No teams
keys-change = Change
keys-change-this = Change { $name }
keys-narrow-explained = What you choose here is taken away from the key for good. It can't be given back.
keys-narrow-button = Narrow <bdi>{ $name }</bdi>
keys-revoke-explained = Programs that use the key are refused at once. So are those that use keys which it made.
keys-revoke-button = Revoke <bdi>{ $name }</bdi>
keys-further = Further keys
keys-trusted = Applications that get keys without asking
keys-trusted-explained = You agreed to it once. Keys that they have already stay until they end.
keys-ask-again = Ask again
keys-ask-again-for = Ask again for { $application }
keys-problem-name = The name has 1 to 128 characters, and a duration is chosen from the list.
keys-problem-duration = A key may not last that long here. Choose a shorter time.
keys-problem-role = There is no such role. Choose one from the list.
keys-problem-teams = One of the teams is not yours. Choose from the list.
keys-problem-paths = One of the paths is no pattern. Write one a line, each beginning with a slash, such as <code>/v1/**</code>.
keys-problem-manages-people = A key that manages people can't be narrowed to teams or paths. Choose one of the two.
keys-problem-full = You have as many keys as are allowed. Revoke one first.
keys-problem-no-role = No role is granted to you, so a key would give nothing.
keys-problem-failed = The key could not be made. Try again.

app-key-title = A key for an application
app-key-command-line = your command line
app-key-ask = Give <bdi>{ $application }</bdi> a key?
app-key-explained = It asks to work in your name. The key lasts { $time }, gives what you have and no more, and you can take it back at any time.
app-key-warning-own-machine = Agree only if you have just begun this in a program on your own machine.
app-key-warning-shown-here = The key is shown in this window. Agree only if you have just asked for it.
app-key-allow = Give it a key
app-key-deny = Don't
app-key-on = On to <bdi>{ $application }</bdi>
app-key-agreed = You agreed before that it gets keys, so it is given one. <a href="{ $keys }">Your keys</a> has what you agreed to.
app-key-continue = Continue

## People

people-title = People
people-invite = Invite somebody
people-search = Email or id
people-search-button = Search
people-none = Nobody has signed in yet.
people-cut = There are more people than were looked through. Say more of whom you search for; an id, or the whole email of who has a password here, finds everybody.
people-none-found = Nobody is found by <bdi>{ $query }</bdi>.
people-all = Show everybody
people-you = You
people-disabled = Disabled
people-no-role = No role
people-last-sign-in = Signed in on { $day }
people-never-signed-in = Never signed in
people-further = Further people

person-id = Id
person-pinned = The role is kept from the first sign-in: edits of the role map don't change it.
person-first-seen = First seen
person-last-sign-in = Last sign-in
person-never = Never
person-identities = Linked accounts
person-in-use = In use
person-sessions = { $count ->
    [0] No session
    [one] 1 session
   *[other] { $count } sessions
}
person-keys = { $count ->
    [0] No key
    [one] 1 key
   *[other] { $count } keys
}
person-actions = Actions
person-yourself = This is your own account. Nobody disables or deletes themselves: another administrator can do it.
person-above = This person's role is above yours, so you can't change the account. Somebody with that role can.
person-invite-again = A forgotten password is set anew by another invitation. <a href="{ $href }">Invite them again</a>
person-end-sessions = End sessions
person-end-sessions-explained = Every browser of this person is signed out at once. Keys go on working, and they can sign in again.
person-end-sessions-button = End all sessions of <bdi>{ $name }</bdi>
person-disable = Disable
person-disable-explained = Sessions and keys of this person end at once and for good, tokens are refused, and nobody can sign in to the account until you enable it again.
person-disable-button = Disable <bdi>{ $name }</bdi>
person-enable = Enable
person-enable-explained = The person can sign in again. Sessions and keys that have ended stay so.
person-enable-button = Enable <bdi>{ $name }</bdi>
person-delete = Delete
person-delete-explained = The account is deleted with its sessions, keys and linked accounts, and can't be brought back. Who signs in at an identity provider again begins as a new person.
person-delete-button = Delete <bdi>{ $name }</bdi> for good

rule-default-theirs = The default role: no rule of the role map holds.
rule-invitation-theirs = Given by the invitation.
rule-named-line = Given by the rule <code><bdi>{ $rule }</bdi></code> in line { $line }
rule-none-theirs = No rule of the role map holds, and there is no default role.

invitations-title = Invitations
invitations-lead = An invitation is a link, good once, by which somebody sets a password and has an account.
invitations-copy-now = Copy the link for <bdi>{ $email }</bdi> now
invitations-shown-once = It is shown this once only, and good until { $time }. Whoever has it can take the account, so send it to nobody else.
invitations-again = This person has an account. Whoever takes the invitation up sets its password anew, and it has this role and these teams from then on.
invitations-stale = To invite somebody, sign in once more: your sign-in is too long ago. <a href="{ $href }">Sign in</a>
invitations-teams-hint = Teams stand one a line, or with commas between them. Leave them out for none.
invitations-make = Make an invitation
invitations-none = There are no invitations.
invitations-open = Open
invitations-accepted = Accepted
invitations-expired = Expired
invitations-made-by = Made on { $day } by <bdi>{ $name }</bdi>.
invitations-made-by-command = Made on { $day } by command.
invitations-expires = Good until { $time }.
invitations-withdraw = Withdraw
invitations-withdraw-this = Withdraw the invitation for { $email }
invitations-further = Further invitations
invitations-problem-email = This is no email address. Check it and try again.
invitations-problem-role = There is no such role. Choose one from the list.
invitations-problem-above = Nobody invites above their own role. Choose one from the list.
invitations-problem-teams = A team's name has no control characters and at most 256 characters. Check the teams and try again.
invitations-problem-duration = An invitation may not last that long here. Choose a shorter time.
invitations-problem-disabled = This person's account is disabled. Enable it first.

## The role map

role-map-title = Role map
role-map-refused = The last edit was refused
role-map-refused-explained = It came on { $time }. What was in force before it stays in force. Mend these mistakes:
role-map-version = Version
role-map-since = In force since { $time }
role-map-source = Source
role-map-rules = Rules
role-map-roles = Roles
role-map-roles-explained = The highest first.
role-map-default = Default role
role-map-no-default = Who has no rule is refused.
role-map-unknown = No role map has been read yet, so nobody has a role. If it stays so, look at this server's log.

explain-title = Explain a role
explain-lead = Says what somebody gets by the role map in force, by which rule, and what came close.
explain-person = Person (id or email)
explain-claims-instead = Or paste claims
explain-claims = Claims as JSON
explain-claims-hint = The claims of an id_token, or an object with <code>id_token</code>, <code>access_token</code> and <code>userinfo</code>.
explain-provider = Provider that the claims are from
explain-access-too = Ask about a request too
explain-address = Address
explain-method = Method
explain-credential = Credential
explain-button = Explain
explain-problem-one = Name a person or paste claims: one of the two.
explain-problem-person = There is no such person. Write the id, or the email in full.
explain-problem-cut = Nobody of those who were looked through has this email, and there are more people. Write the id.
explain-problem-several = Several people have this email. Write the id of one, which is on their page.
explain-problem-claims = The claims can't be read: { $why }
explain-problem-provider = There is no such provider. Choose one from the list.
explain-problem-address = Address or method can't be read: { $why }
explain-problem-no-map = No role map has been read yet. Try again in a moment.
explained-person = What <bdi>{ $person }</bdi> gets
explained-cut = There are more people than were looked through: somebody else may have this email too.
explained-claims = What these claims get
explained-refused = There are no claims from the source { $source }, and the role map refuses people without them.
explained-first-login = This holds for a first sign-in. Who has signed in before keeps what they were given then.
explained-dropped = Left out
explained-dropped-why = No header can carry such a team, or there were too many.
explained-outranked = Outranked
explained-near-misses = Near misses
explained-would-give = <code><bdi>{ $rule }</bdi></code> in line { $line } would give <bdi>{ $role }</bdi>
explained-would-name-teams = <code><bdi>{ $rule }</bdi></code> in line { $line } would name teams
explained-missing = Missing sources
explained-missing-why = A rule names them, and they say nothing about this person.
explained-access = Request
explained-allowed = Allowed
explained-not-allowed = Refused
explained-selects = Selects <code><bdi>{ $rule }</bdi></code>
explained-selects-none = Selects no rule

## What went wrong

error-status = Error { $status }
error-quote = <bdi>{ $speaker }</bdi> answered:
error-request-id = When you ask for help, send along this request id:

action-account = Go to your account
action-again = Try again
action-sign-in = Sign in
action-sign-out = Sign out
action-start-again = Start again
action-other-account = Sign in with another account
action-continue = Continue without signing in again
action-methods = How you sign in

error-onboarding-title = Not a valid link
error-onboarding-happened = This link is not valid any more, or never was.
error-onboarding-next = Ask whoever invited you for a new one.

error-not-found-title = Page not found
error-not-found-happened = There is no page at this address.
error-not-found-next = Check the address, or go to your account.

error-malformed-title = This address is malformed
error-malformed-happened = The request has a parameter twice, or one that can't be read.
error-malformed-next = Go back and try again, or start from your account.

error-slow-title = Your browser took too long
error-slow-happened = The request did not arrive in full.
error-slow-next = Go back and try again, or start from your account.

error-too-often-title = Too many tries from your address
error-too-often-happened = Many people may share it. Nothing is lost.
error-too-often-next = { $seconds ->
    [one] Wait a second, then reload this page.
   *[other] Wait { $seconds } seconds, then reload this page.
}

error-internal-title = Something went wrong
error-internal-happened = An unexpected error stopped this request.
error-internal-next = Try again. If it happens again, tell your administrator the request id below.

error-store-away-title = Not possible right now
error-store-away-happened = The place where sign-ins are kept does not answer at the moment.
error-store-away-next = You are not signed out. Wait a moment and try again.

error-foreign-form-title = Nothing was changed
error-foreign-form-happened = The request did not come from this site's own page, so it was not followed.
error-foreign-form-next = If you want the change, make it here.

error-sign-in-again-title = Sign in once more
error-sign-in-again-happened = This takes a sign-in of the last while, and yours has ended or is too long ago.
error-sign-in-again-next = Sign in, and you come back to where you were.

error-return-refused-title = This link leads elsewhere
error-return-refused-happened = The sign-in link wants to send you on to an address that is not part of this site: { $reason }.
error-return-refused-next = If you followed a link from somewhere else, don't trust it. You can sign in from here instead.

error-unknown-provider-title = Unknown identity provider
error-unknown-provider-happened = The link names an identity provider that is not configured here.
error-unknown-provider-next = Choose one of those that are.

error-provider-away-title = Sign-in is not possible right now
error-provider-away-happened = { $provider } can't be reached at the moment, so nobody can be sent there to sign in.
error-provider-away-next = Wait a moment and try again. If it goes on, tell your administrator.

error-expired-title = This sign-in has expired
error-expired-happened = A sign-in has to be finished within ten minutes, and this one is no longer known.
error-expired-next = Start again; it usually takes a moment only.

error-finished-title = This sign-in was finished before
error-finished-happened = The address of a finished sign-in was opened a second time, perhaps by going back or reloading.
error-finished-next = If you are signed in, go on to where you wanted to go. Otherwise start again.

error-other-browser-title = This sign-in belongs to another browser
error-other-browser-happened = The sign-in was not begun in this browser, or its cookies were deleted meanwhile. To protect you, it is not finished here.
error-other-browser-next = Start again in this browser. If cookies are blocked for this site, allow them first.

error-mixed-up-title = The answer does not match the question
error-mixed-up-happened = The sign-in was begun with one identity provider, and the answer names or came through another. To protect you, it is not finished.
error-mixed-up-next = Start again. If it happens again, tell your administrator the request id below.

error-incomplete-title = The answer is incomplete
error-incomplete-happened = { $provider } sent you back without what is needed to sign you in.
error-incomplete-next = Start again. If it happens again, tell your administrator the request id below.

error-denied-title = You were not signed in
error-denied-happened = { $provider } did not sign you in: it was cancelled, or your account may not use this site.
error-denied-next = Start again, or ask your administrator for access.

error-provider-failed-title = Sign-in failed at the identity provider
error-provider-failed-happened = { $provider } reported an error.
error-provider-failed-next = Start again. If it happens again, tell your administrator what it said and the request id below.

error-no-role-map-yet-title = Not possible right now
error-no-role-map-yet-happened = This server has only just started, and has not read yet who may do what.
error-no-role-map-yet-next = Wait a moment and try again; your sign-in is not lost.

error-no-role-title = You have no access yet
error-no-role-happened = You are signed in at { $provider }, but no role is granted to your account here.
error-no-role-next = Ask { $contact } to grant you one, then sign in again.

error-disabled-title = Your account is disabled
error-disabled-happened = You are known here, but your account may not be used at the moment.
error-disabled-next = Ask { $contact } to enable it again.

error-missing-source-title = Your roles could not be read
error-missing-source-happened = { $provider } confirmed who you are, but sent less about your account than this site needs to know your role.
error-missing-source-next = Start again. If it happens again, tell { $contact } the request id below.

error-too-large-title = Your account carries too much
error-too-large-happened = { $provider } sent more about your account than this site accepts, perhaps a very long list of groups.
error-too-large-next = Ask your administrator to narrow what the identity provider sends, or to raise max_claims.

error-not-confirmed-title = Sign-in could not be confirmed
error-not-confirmed-happened = The answer of { $provider } could not be confirmed, so you are not signed in.
error-not-confirmed-next = Start again. If it happens again, tell your administrator the request id below.

error-store-before-title = Not possible right now
error-store-before-happened = The place where sign-ins are kept does not answer at the moment.
error-store-before-next = Wait a moment and try again; your sign-in is not lost.

error-store-after-title = Almost there
error-store-after-happened = You were confirmed, but the place where sign-ins are kept stopped answering before yours was written down.
error-store-after-next = Wait a moment and start again; you will probably not be asked for your password.

error-for-administrators-title = This page is for administrators
error-for-administrators-happened = What you asked for takes a role that yours is not.
error-for-administrators-next = Go back to your account, or ask an administrator.

error-no-local-accounts-title = There are no accounts to invite to
error-no-local-accounts-happened = Everybody signs in with an identity provider here, so there are no invitations.
error-no-local-accounts-next = Whoever has access at the identity provider can sign in. For accounts with a password, the operator enables local_accounts.

error-no-such-person-title = Nobody is known by this address
error-no-such-person-happened = The person was deleted, or never signed in here.
error-no-such-person-next = Look for them in the list.

error-not-yours-to-change-title = Nothing was changed
error-not-yours-to-change-happened = Administrators change neither themselves nor people with a higher role than theirs.
error-not-yours-to-change-next = Ask an administrator with a higher role.

error-no-role-here-title = You have no access yet
error-no-role-here-happened = Your password is right, but no role is granted to your account at the moment.
error-no-role-here-next = Ask { $contact } to grant you one, then sign in again.

error-link-signed-out-title = Sign in first
error-link-signed-out-happened = The account was proven to be yours, but you are no longer signed in here, so it was not linked.
error-link-signed-out-next = Sign in as before, and link it again.

error-link-taken-title = This account belongs to somebody else here
error-link-taken-happened = Your account at { $provider } is already known here, as another person, so it was not linked.
error-link-taken-next = Sign in with it instead. To have one account of the two, ask your administrator to delete the other one.

error-perhaps-signed-out-title = Perhaps not signed out
error-perhaps-signed-out-happened = The place where sign-ins are kept did not answer, so it is not certain that your session has ended.
error-perhaps-signed-out-next = Wait a moment and sign out again.

error-still-signed-in-title = You are still signed in
error-still-signed-in-happened = The request to sign out did not come from this site's own page, so it was not followed.
error-still-signed-in-next = If you want to sign out, do it here.

return-empty = the return target is empty
return-too-long = the return target is longer than { $most } bytes
return-control-character = the return target has a blank or a control character
return-backslash = the return target has a backslash, which browsers take for a slash
return-not-a-path = the return target is neither a path nor an http or https address
return-authority = the return target's address is malformed
return-user-info = the return target carries a user name or password
return-other-host = the return target is on another host
return-doubled-slash = the return target's path starts with two slashes
