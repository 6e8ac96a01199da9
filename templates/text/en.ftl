# All texts of the pages, in the syntax of Project Fluent (https://projectfluent.org). A translation is a file like this one
# with its own `language`. Texts that it omits appear in English. Keep the HTML tags.

language = en
direction = ltr

## Texts of several pages

skip = Skip to content
email = Email
password = Password
role = Role
teams = Teams
none = None
next-page = Next page
cancel = Cancel
copy = Copy
copied = Copied
expires-in = Expires in
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
rule-default = Default role, because no rule of the role map matches.
rule-invitation = Granted by the invitation.
rule-named = Granted by rule <code><bdi>{ $rule }</bdi></code>
rule-no-match-own = No rule of the role map matches. Ask an administrator for access.

## Navigation

nav-label = Pages
nav-administration = Administration
nav-account = Account
nav-keys = Keys
nav-sessions = Sessions
nav-sign-in = Sign-in methods
nav-people = Users
nav-invitations = Invitations
nav-role-map = Role map
nav-sign-out = Sign out

## Sign-in

sign-in-title = Sign in
sign-in-away = You sign in at your identity provider and then return to this site.
sign-in-continue = Continue with <bdi>{ $provider }</bdi>
sign-in-choose = Choose how to sign in.
sign-in-or = or
sign-in-button = Sign in
sign-in-forgotten = Forgot your password? Ask { $contact } for a new invitation.
sign-in-problem-wrong = Email or password is wrong. Check both and try again.
sign-in-problem-many = Too many attempts. Wait { $time }, then try again.
sign-in-problem-busy = Too many users are signing in right now. Wait a moment and try again.
sign-in-problem-cookies = Your browser did not send this site's cookie. Allow cookies, then try again.

not-configured-title = No identity provider configured
not-configured-lead = Vestibule is running, but users cannot sign in until an identity provider is configured.
not-configured-facts = Current configuration
not-configured-next = Next steps
not-configured-register = Register Vestibule as a client at your identity provider with this redirect URI, which begins with <code>public_url</code>:
not-configured-describe = Configure the provider in a file, for example <code>vestibule.yaml</code>:
not-configured-example = Example of vestibule.yaml
not-configured-check = Check the file, then start Vestibule with it:
not-configured-commands = Commands

sign-out-title = Sign out
sign-out-ask = Sign out?
sign-out-both = This ends your session in this browser. You then continue to <bdi>{ $provider }</bdi>, which signs you out there as well.
sign-out-here-only = This ends your session in this browser. You may stay signed in at your identity provider.
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
password-repeat = Confirm new password
password-rules = { $minimum ->
    [one] At least 1 character.
   *[other] At least { $minimum } characters. A few unrelated words are easy to remember and hard to guess.
}
password-problem-wrong = The current password is wrong. Enter it again.
password-problem-short = The password is too short. Use at least { $minimum ->
    [one] 1 character
   *[other] { $minimum } characters
}.
password-problem-long = The password is too long. Use at most 128 characters; accented letters count as more than one.
password-problem-character = The password has an invisible character. Use letters, digits, symbols and spaces.
password-problem-weak = The password is too easy to guess.
password-problem-mismatch = The passwords do not match. Enter the same password twice.
password-problem-many = Too many attempts. Wait { $time }, then try again.
password-problem-busy = Too many users are signing in right now. Wait a moment and try again.

# Why a password is weak, and how to improve it.
password-weak-rows = Rows of keys are easy to guess.
password-weak-keyboard = Short keyboard patterns are easy to guess.
password-weak-repeats = Repeats such as “aaa” are easy to guess.
password-weak-repeated-words = Repeats such as “abcabcabc” are only slightly harder to guess than “abc”.
password-weak-top-10 = This is one of the 10 most common passwords.
password-weak-top-100 = This is one of the 100 most common passwords.
password-weak-common = This is a very common password.
password-weak-similar = This is similar to a common password.
password-weak-sequences = Sequences such as abc or 6543 are easy to guess.
password-weak-years = Recent years are easy to guess.
password-weak-word = A single word is easy to guess.
password-weak-dates = Dates are often easy to guess.
password-weak-names = A single name is easy to guess.
password-weak-common-names = Common names are easy to guess.
password-better-few-words = Use a few unrelated words.
password-better-no-symbols = Symbols, digits and capital letters are not required.
password-better-another-word = Add one or two uncommon words.
password-better-capitals = Capital letters don’t help much.
password-better-all-uppercase = All capitals are almost as easy to guess as all lower case.
password-better-reversed = Reversed words are only slightly harder to guess.
password-better-substitutions = Substitutions such as “@” for “a” don’t help much.
password-better-longer-keyboard = Use a longer keyboard pattern with more turns.
password-better-no-repeats = Avoid repeated words and letters.
password-better-no-sequences = Avoid sequences.
password-better-no-years = Avoid recent years.
password-better-no-own-years = Avoid years that are associated with you.
password-better-no-own-dates = Avoid dates and years that are associated with you.

onboarding-title = Set your password
onboarding-lead = You were invited to <bdi>{ $site }</bdi>.
onboarding-lead-role = You were invited to <bdi>{ $site }</bdi> with the role <bdi>{ $role }</bdi>.
onboarding-button = Set password and sign in
onboarding-until = This link works once, until { $time }.

## Account

home-title = Your account
home-signed-in-as = Signed in as
home-by = Signed in with
home-session = Session
home-ends = Expires on <time datetime="{ $at }">{ $time }</time>
home-idle = Expires earlier if it is not used for { $time }.

sessions-title = Your sessions
sessions-lead = These browsers are signed in to your account. End the sessions that you don't know.
browser-on = { $browser } on { $system }
sessions-unknown-browser = Unknown browser
sessions-this-browser = This browser
sessions-by-provider = Signed in with <bdi>{ $provider }</bdi>
sessions-by-password = Signed in with email and password
sessions-times = Signed in on { $begun }. Last used on { $used }.
sessions-end = End
sessions-end-this = End the session started on { $begun }
sessions-end-others = End all others
sessions-end-others-explained = All your other browsers are signed out immediately. This browser stays signed in, and your keys remain valid.
sessions-end-others-button = End all other sessions

methods-title = Sign-in methods
methods-sign-in-again = To link or unlink an account, sign in again. Your last sign-in was too long ago. <a href="{ $href }">Sign in</a>
methods-accounts = Linked accounts
methods-accounts-explained = You can sign in with any of these accounts.
methods-password = Email and password
methods-verified = Last verified on { $day }
methods-unlink = Unlink
methods-unlink-this = Unlink { $account }
methods-unlink-explained = You can no longer sign in with this account, and you are signed out in all other browsers. You also lose the role and teams that this account gives you.
methods-unlink-button = Unlink <bdi>{ $account }</bdi>
methods-link = Link another account
methods-link-explained = You sign in at the provider to prove that the account is yours. After that, you can use it to sign in here.
methods-link-button = Link <bdi>{ $provider }</bdi>
methods-change-password = Change password
methods-change-password-button = Change password
methods-change-password-explained = This signs you out in all other browsers.
methods-password-changed = Your password was changed. All your other sessions were ended.
methods-unlinked = Your account at <bdi>{ $provider }</bdi> was unlinked.

link-away-title = Link an account
link-away-heading = Link <bdi>{ $provider }</bdi>
link-away-explained = You continue to <bdi>{ $provider }</bdi> to prove that the account is yours.
link-away-button = Continue to <bdi>{ $provider }</bdi>

## Keys

keys-title = Your keys
keys-lead = An API key gives a program at most your own access. A key stops working when it expires, when you revoke it, or when you lose access.
keys-copy-now = Copy <bdi>{ $name }</bdi> now
keys-shown-once = The key is shown only once.
keys-sign-in-again = To create a key, sign in again. Your last sign-in was too long ago. <a href="{ $href }">Sign in</a>
keys-name = Name
keys-create = Create key
keys-restrict = Restrict
keys-highest-role = Highest role
keys-role-own = Same as yours
keys-role-unchanged = Unchanged
keys-only-teams = Only these teams
keys-only-teams-hint = If you select none, the key has all your teams.
keys-only-teams-unchanged = If you select none, the key keeps its teams.
keys-only-paths = Only these paths
keys-only-paths-hint = One pattern per line, such as <code>/v1/**</code>. Leave empty to allow all paths.
keys-may-manage = Can manage keys
keys-may-manage-hint = The program can create, list and revoke keys derived from this one. They never have more access than this key.
keys-may-manage-people = Can manage users
keys-may-manage-people-hint = The program can invite, disable and delete users, as you can. Such a key can't be restricted to teams or paths.
keys-none = You have no keys.
keys-unnamed = Unnamed
keys-manages = Manages keys
keys-manages-people = Manages users
keys-dates = Created { $made }. Expires { $ends }. Last used { $used }.
keys-dates-unused = Created { $made }. Expires { $ends }. Never used.
keys-restrictions = Restrictions
keys-up-to-role = Highest role: <bdi>{ $role }</bdi>
keys-team = Team <bdi>{ $team }</bdi>
keys-no-teams = No teams
keys-edit = Edit
keys-edit-this = Edit { $name }
keys-restrict-explained = You can add restrictions to a key, but you can't remove them later.
keys-restrict-button = Restrict <bdi>{ $name }</bdi>
keys-created-by = Created by the administrator <bdi>{ $user }</bdi>.
keys-rotate-explained = Rotating gives this key a new secret.
keys-grace-period = Grace period of the old secret
keys-grace-period-none = None
keys-keep-derived = Keep derived keys
keys-keep-derived-hint = Otherwise, keys derived from this one end together with the old secret. With a grace period, they stay valid.
keys-rotate-button = Rotate <bdi>{ $name }</bdi>
keys-revoke-explained = This key and the keys derived from it stop working immediately.
keys-revoke-button = Revoke <bdi>{ $name }</bdi>
keys-applications = Authorized applications
keys-applications-explained = These applications get new keys without asking you. If you revoke an authorization, the keys that the application already has remain valid until they expire.
keys-application-revoke = Revoke
keys-application-revoke-this = Revoke the authorization of { $application }
keys-problem-name = Enter a name of 1 to 128 characters, and choose a duration from the list.
keys-problem-duration = A key can't be valid for that long. Choose a shorter time.
keys-problem-role = This role does not exist. Choose one from the list.
keys-problem-teams = You are not a member of one of these teams. Choose teams from the list.
keys-problem-paths = One of the paths is not a valid pattern. Enter one pattern per line, each beginning with a slash, such as <code>/v1/**</code>.
keys-problem-too-many-paths = A key can have at most 64 path patterns with 4,096 bytes together. The patterns of the keys that it is derived from count too. Enter fewer or shorter patterns.
keys-problem-manages-people = A key that manages users can't be restricted to teams or paths. Choose one of the two.
keys-problem-full = You have reached the maximum number of keys. Revoke a key first.
keys-problem-no-role = You have no role, so a key would have no access. Ask an administrator for access.
keys-problem-above = This key belongs to a user with a higher role than you, so you can't change it.
keys-problem-failed = The key could not be created. Try again.

app-key-title = Authorize an application
app-key-command-line = your command line
app-key-ask = Authorize <bdi>{ $application }</bdi>?
app-key-explained = The application asks for an API key to act on your behalf. The key is valid for { $time } and has at most your own access. You can revoke it at any time.
app-key-warning-own-machine = Authorize this only if you have just started it in a program on your own machine.
app-key-warning-shown-here = The key is shown in this window. Authorize this only if you have just asked for a key.
app-key-authorize = Authorize
app-key-continue-to = Continue to <bdi>{ $application }</bdi>
app-key-authorized = You authorized this application before, so it gets a new key. You can revoke the authorization on the page <a href="{ $keys }">Your keys</a>.
app-key-continue = Continue

## Users

people-title = Users
people-invite = Invite user
people-search = Email or ID
people-search-button = Search
people-none = No user has signed in yet.
people-truncated = This list may be incomplete. Refine the search; an ID or the full email of a local account always finds the user.
people-none-found = No user matches <bdi>{ $query }</bdi>.
people-all = Show all users
people-you = You
people-disabled = Disabled
people-no-role = No role
people-last-sign-in = Last sign-in on { $day }
people-never-signed-in = Never signed in

person-id = ID
person-pinned = The role was assigned at the first sign-in. Changes of the role map do not affect it.
person-first-seen = First seen
person-last-sign-in = Last sign-in
person-never = Never
person-identities = Linked accounts
person-in-use = Sessions and keys
person-sessions = { $count ->
    [0] No sessions
    [one] 1 session
   *[other] { $count } sessions
}
person-keys = { $count ->
    [0] No keys
    [one] 1 key
   *[other] { $count } keys
}
person-actions = Actions
person-yourself = This is your own account. You can't disable or delete it, but another administrator can.
person-above = This user has a higher role than you. Only administrators with that role can change the account.
person-invite-again = To reset a forgotten password, send a new invitation. <a href="{ $href }">Invite again</a>
person-end-sessions = End sessions
person-end-sessions-explained = The user is signed out in all browsers immediately. Keys remain valid, and the user can sign in again.
person-end-sessions-button = End all sessions of <bdi>{ $name }</bdi>
person-disable = Disable
person-disable-explained = All sessions and keys of this user end immediately and permanently, tokens are rejected, and the user can't sign in until you enable the account again.
person-disable-button = Disable <bdi>{ $name }</bdi>
person-enable = Enable
person-enable-explained = The user can sign in again. Sessions and keys that have ended are not restored.
person-enable-button = Enable <bdi>{ $name }</bdi>
person-delete = Delete
person-delete-explained = The account is deleted with its sessions, keys and linked accounts. You can't undo this. If the user signs in at an identity provider again, a new account is created.
person-delete-button = Delete <bdi>{ $name }</bdi>

rule-named-line = Granted by rule <code><bdi>{ $rule }</bdi></code> in line { $line }
rule-no-match = No rule of the role map matches, and there is no default role.

invitations-title = Invitations
invitations-lead = An invitation is a link that works once. The invited user sets a password and gets an account.
invitations-copy-now = Copy the link for <bdi>{ $email }</bdi> now
invitations-shown-once = The link is shown only once and works until { $time }. Anyone who has it can take the account, so send it only to the invited user.
invitations-again = This user has an account. Accepting the invitation sets a new password and replaces the role and teams.
invitations-sign-in-again = To invite a user, sign in again. Your last sign-in was too long ago. <a href="{ $href }">Sign in</a>
invitations-teams-hint = Enter one team per line, or separate them with commas. Leave empty for no teams.
invitations-create = Create invitation
invitations-none = There are no invitations.
invitations-open = Open
invitations-accepted = Accepted
invitations-expired = Expired
invitations-made-by = Created on { $day } by <bdi>{ $name }</bdi>.
invitations-made-by-command = Created on { $day } from the command line.
invitations-expires = Expires on { $time }.
invitations-revoke = Revoke
invitations-revoke-this = Revoke the invitation for { $email }
invitations-problem-email = This is not a valid email address. Check it and try again.
invitations-problem-role = This role does not exist. Choose one from the list.
invitations-problem-above = You can't invite a user with a higher role than yours. Choose a role from the list.
invitations-problem-teams = A team name has at most 256 characters and no control characters. Check the teams and try again.
invitations-problem-duration = An invitation can't be valid for that long. Choose a shorter time.
invitations-problem-disabled = The account of this user is disabled. Enable it first.

## The role map

role-map-title = Role map
role-map-refused = The last update was rejected
role-map-refused-explained = The update was read on { $time }. The previous role map remains active. Correct these errors:
role-map-version = Version
role-map-since = Active since { $time }
role-map-source = Source
role-map-rules = Rules
role-map-roles = Roles
role-map-roles-explained = Highest role first.
role-map-default = Default role
role-map-no-default = Users without a matching rule have no access.
role-map-unknown = No role map has been loaded yet, so users have no roles. If this continues, check the server's log.

explain-title = Explain a role
explain-lead = Shows the role and teams that the role map gives a user, the rules that grant them, and rules that almost match.
explain-person = User (ID or email)
explain-claims-instead = Or paste claims
explain-claims = Claims as JSON
explain-claims-hint = The claims of an id_token, or an object with <code>id_token</code>, <code>access_token</code>, <code>userinfo</code> and <code>directory</code>.
explain-provider = Provider of the claims
explain-access-too = Explain a request too
explain-address = URL
explain-method = Method
explain-credential = Credential
explain-button = Explain
explain-problem-one = Enter a user or paste claims, but not both.
explain-problem-person = This user does not exist. Enter the ID or the full email.
explain-problem-cut = No user with this email was found, but not all users were searched. Enter the ID.
explain-problem-several = Several users have this email. Enter the ID of one of them; each user's page shows it.
explain-problem-claims = The claims can't be read: { $why }
explain-problem-provider = This provider does not exist. Choose one from the list.
explain-problem-address = The URL or method can't be read: { $why }
explain-problem-no-map = No role map has been loaded yet. Try again in a moment.
explanation-person = Result for <bdi>{ $person }</bdi>
explanation-truncated = Not all users were searched. Another user may have the same email.
explanation-claims = Result for these claims
explanation-expired = Verified too long ago. This account grants no role, teams or email until the user signs in with it again.
explanation-missing-source = The claims of the source { $source } are missing, and the role map denies access without them.
explanation-first-login = This applies to a first sign-in. Users who have signed in before keep what was assigned to them then.
explanation-dropped-teams = Omitted teams
explanation-dropped-teams-why = A team is omitted if a header can't contain its name, or if there are too many teams.
explanation-outranked = Outranked
explanation-near-misses = Near misses
explanation-would-give = <code><bdi>{ $rule }</bdi></code> in line { $line } would grant <bdi>{ $role }</bdi>
explanation-would-name-teams = <code><bdi>{ $rule }</bdi></code> in line { $line } would assign teams
explanation-warnings = Warnings
explanation-warning = <code><bdi>{ $rule }</bdi></code> in line { $line }
explanation-missing-sources = Missing sources
explanation-missing-sources-why = Rules use these sources, but there are no claims from them.
explanation-ignored-claims = Ignored claims
explanation-ignored-claims-why = These claims do not fit their use, so they count as absent.
explanation-access = Request
explanation-allowed = Allowed
explanation-denied = Denied
explanation-matching-rule = Matches <code><bdi>{ $rule }</bdi></code>
explanation-no-matching-rule = Matches no rule

## Errors

error-status = Error { $status }
error-quote = Response of <bdi>{ $speaker }</bdi>:
error-request-id = When you ask for help, include this request ID:

action-account = Go to your account
action-again = Try again
action-sign-in = Sign in
action-sign-out = Sign out
action-start-again = Start again
action-other-account = Sign in with another account
action-continue = Continue without signing in again
action-methods = Sign-in methods

error-onboarding-title = Invalid link
error-onboarding-happened = This link has already been used, has expired, or was revoked.
error-onboarding-next = Ask the person who invited you for a new link.

error-not-found-title = Page not found
error-not-found-happened = There is no page at this address.
error-not-found-next = Check the address, or go to your account.

error-malformed-title = This address is malformed
error-malformed-happened = A parameter of the request is malformed or appears twice.
error-malformed-next = Go back and try again, or start from your account.

error-slow-title = Request timed out
error-slow-happened = Your browser did not send the complete request in time.
error-slow-next = Go back and try again, or start from your account.

error-too-often-title = Too many requests
error-too-often-happened = There were too many requests from your network address, which other users may share.
error-too-often-next = { $seconds ->
    [one] Wait a second, then reload this page.
   *[other] Wait { $seconds } seconds, then reload this page.
}

error-internal-title = Something went wrong
error-internal-happened = An unexpected error stopped this request.
error-internal-next = Try again. If it happens again, tell your administrator the request ID below.

error-store-away-title = Temporarily unavailable
error-store-away-happened = The session store does not respond at the moment.
error-store-away-next = You were not signed out. Wait a moment and try again.

error-foreign-form-title = Nothing was changed
error-foreign-form-happened = The request did not come from a page of this site, so it was rejected.
error-foreign-form-next = If you want to make this change, make it on this site.

error-form-used-title = This form was already sent
error-form-used-happened = Each form can be sent once, within 12 hours after its page was opened. Sending it again changed nothing.
error-form-used-next = Check whether your change was made. If it was not, try again.

error-not-in-a-tab-title = Open this page in a tab
error-not-in-a-tab-happened = A script or a frame requested this page. To protect your account, it is only shown in a tab of its own.
error-not-in-a-tab-next = Open the page from your account.

error-sign-in-again-title = Sign in again
error-sign-in-again-happened = This action requires a recent sign-in. Your session has ended, or your last sign-in was too long ago.
error-sign-in-again-next = Sign in. You then return to the page where you were.

error-return-refused-title = Invalid sign-in link
error-return-refused-happened = The sign-in link would send you to an address that is not part of this site: { $reason }.
error-return-refused-next = If you followed a link from somewhere else, don't trust it. You can sign in here instead.

error-unknown-provider-title = Unknown identity provider
error-unknown-provider-happened = The link names an identity provider that is not configured here.
error-unknown-provider-next = Choose one of the configured providers.

error-header-rejected-title = A header of your browser is not accepted
error-header-rejected-happened = You are signed in, but your browser also sends a credential in { $headers }. That credential is not valid, so the page is refused. Signing in again does not change this.
error-header-rejected-next = Turn off the browser extension, proxy or tool that adds { $headers }, or correct its value. Then try again.

error-login-limit-title = Too many sign-ins
error-login-limit-happened = No new sign-in can start at the moment.
error-login-limit-next = Wait { $seconds } seconds, then try again. Users who are signed in are not affected.

error-provider-away-title = Sign-in is not possible right now
error-provider-away-happened = { $provider } can't be reached at the moment, so you can't sign in there.
error-provider-away-next = Wait a moment and try again. If this continues, tell your administrator.

error-expired-title = This sign-in has expired
error-expired-happened = A sign-in must be completed within ten minutes. This sign-in has expired.
error-expired-next = Start again.

error-ended-at-provider-title = Signed out during the sign-in
error-ended-at-provider-happened = { $provider } ended your session while you were signing in here.
error-ended-at-provider-next = Start again.

error-handover-title = This sign-in has expired
error-handover-happened = You are signed in on one host of this site, but another host did not receive your sign-in in time.
error-handover-next = Start again.

error-finished-title = This sign-in is already complete
error-finished-happened = The address of a completed sign-in was opened again, for example with the back button or by reloading.
error-finished-next = If you are signed in, continue. Otherwise start again.

error-other-browser-title = This sign-in belongs to another browser
error-other-browser-happened = The sign-in was not started in this browser, or its cookies were deleted. To protect you, it was stopped.
error-other-browser-next = Start again in this browser. If cookies are blocked for this site, allow them first.

error-mixed-up-title = Wrong identity provider
error-mixed-up-happened = The sign-in was started with one identity provider, but the response names or came through another. To protect you, it was stopped.
error-mixed-up-next = Start again. If it happens again, tell your administrator the request ID below.

error-incomplete-title = Incomplete response
error-incomplete-happened = { $provider } sent you back without the data that is needed to sign you in.
error-incomplete-next = Start again. If it happens again, tell your administrator the request ID below.

error-denied-title = Access denied
error-denied-happened = { $provider } did not sign you in. The sign-in was canceled, or your account may not use this site.
error-denied-next = Start again, or ask your administrator for access.

error-claims-overdue-title = Temporarily unavailable
error-claims-overdue-happened = Vestibule couldn't get your current account data from your identity provider.
error-claims-overdue-next = You were not signed out. Wait a moment and try again. If this continues, tell your administrator.

error-provider-failed-title = Sign-in failed at the identity provider
error-provider-failed-happened = { $provider } reported an error.
error-provider-failed-next = Start again. If it happens again, tell your administrator this error and the request ID below.

error-no-role-map-yet-title = Temporarily unavailable
error-no-role-map-yet-happened = This server has just started and has not loaded the role map yet.
error-no-role-map-yet-next = Wait a moment and try again. Your sign-in is not lost.

error-no-role-title = You have no access yet
error-no-role-happened = You signed in at { $provider }, but your account has no role here.
error-no-role-next = Ask { $contact } to grant you a role, then sign in again.

error-no-access-title = You have no access yet
error-no-access-happened = You are signed in, but your account has no role here.
error-no-access-next = Ask { $contact } to grant you a role, then sign in again.

error-claims-expired-title = Sign in again
error-claims-expired-happened = Your last sign-in with the account that grants your roles was too long ago, so they have expired.
error-claims-expired-next = Sign in with the account that grants you access.

error-page-forbidden-title = Access denied
error-page-forbidden-happened = You are signed in, but your account may not open this page.
error-page-forbidden-next = If you need this page, ask { $contact } for access.

error-page-closed-title = Access denied
error-page-closed-happened = The access rules of this site close this page to everyone.
error-page-closed-next = Check the address. If you need this page, ask { $contact }.

error-request-refused-title = Request refused
error-request-refused-happened = The address is malformed, or this server does not serve its host.
error-request-refused-next = Check the address. If it is correct, tell your administrator the request ID below.

error-disabled-title = Your account is disabled
error-disabled-happened = You can't use this account until it is enabled again.
error-disabled-next = Ask { $contact } to enable it.

error-disabled-by-directory-title = The directory disabled this user
error-disabled-by-directory-happened = Your company's directory disabled the user, so the user cannot be enabled here. Nothing was changed.
error-disabled-by-directory-next = Enable the user in the directory. It tells this service within its next synchronization.

error-user-claim-taken-title = This account belongs to another user
error-user-claim-taken-happened = Your account at { $provider } has the same identifier as another user here, so you are not signed in.
error-user-claim-taken-next = Ask { $contact } to delete the other user, or to unlink that sign-in method.

error-missing-source-title = Your roles could not be read
error-missing-source-happened = { $provider } confirmed your identity, but did not send all the data that determines your role.
error-missing-source-next = Start again. If it happens again, tell { $contact } the request ID below.

error-too-large-title = Too much account data
error-too-large-happened = { $provider } sent more data about your account than this site accepts, for example a very long list of groups.
error-too-large-next = Ask your administrator to reduce the data that the identity provider sends, or to raise max_claims.

error-not-authenticated-recently-title = Recent sign-in not confirmed
error-not-authenticated-recently-happened = { $provider } did not confirm that you signed in there a moment ago, so the sign-in was not accepted.
error-not-authenticated-recently-next = Start again, and sign in at { $provider } when it asks you to. If it happens again, tell your administrator the request ID below.

error-not-confirmed-title = Sign-in could not be confirmed
error-not-confirmed-happened = The response of { $provider } could not be confirmed, so you are not signed in.
error-not-confirmed-next = Start again. If it happens again, tell your administrator the request ID below.

error-store-before-title = Temporarily unavailable
error-store-before-happened = The session store does not respond at the moment.
error-store-before-next = Wait a moment and try again. Your sign-in is not lost.

error-store-after-title = Sign-in not completed
error-store-after-happened = Your identity was confirmed, but the session store stopped responding before your session was saved.
error-store-after-next = Wait a moment and start again. You will probably not be asked for your password.

error-for-administrators-title = Access denied
error-for-administrators-happened = Your role does not allow this.
error-for-administrators-next = Go back to your account, or ask an administrator for access.

error-no-local-accounts-title = Invitations are disabled
error-no-local-accounts-happened = All users sign in with an identity provider, so there are no invitations.
error-no-local-accounts-next = Users who have access at the identity provider can sign in. Accounts with a password need local_accounts in the configuration.

error-no-such-person-title = User not found
error-no-such-person-happened = The user was deleted or has never signed in.
error-no-such-person-next = Look for the user in the list.

error-not-yours-to-change-title = Nothing was changed
error-not-yours-to-change-happened = Administrators can't change their own account or the accounts of users with a higher role.
error-not-yours-to-change-next = Ask an administrator with a higher role.

error-no-role-here-title = You have no access yet
error-no-role-here-happened = Your password is correct, but your account has no role at the moment.
error-no-role-here-next = Ask { $contact } to grant you a role, then sign in again.

error-link-signed-out-title = Sign in first
error-link-signed-out-happened = You proved that the account is yours, but you are no longer signed in here, so it was not linked.
error-link-signed-out-next = Sign in, then link the account again.

error-link-taken-title = This account belongs to another user
error-link-taken-happened = Your account at { $provider } belongs to another user here, so it was not linked.
error-link-taken-next = Sign in with that account instead. To combine both, ask your administrator to delete the other user.

error-perhaps-signed-out-title = You may still be signed in
error-perhaps-signed-out-happened = The session store did not respond, so your session may not have ended.
error-perhaps-signed-out-next = Wait a moment and sign out again.

error-still-signed-in-title = You are still signed in
error-still-signed-in-happened = The request to sign out did not come from a page of this site, so it was rejected.
error-still-signed-in-next = If you want to sign out, use the button below.

return-empty = the return target is empty
return-too-long = the return target is longer than { $most } bytes
return-control-character = the return target contains a space or a control character
return-backslash = the return target contains a backslash, which browsers treat as a slash
return-not-a-path = the return target is neither a path nor an http or https address
return-authority = the return target's address is malformed
return-user-info = the return target contains a user name or password
return-other-host = the return target is on another host
return-doubled-slash = the return target's path starts with two slashes
