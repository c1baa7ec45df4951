"""The vault: a model behind a door that answers questions, keeps count, and is defended. One process serves a class.

keys         what a key looks like; hashed, compared
policy       the one file that a team edits: what leaves, how much, for whom, what an alarm does
controls     what is done to an answer before it leaves, each after its paper's formula
limits       a token bucket by rows, on a clock that never goes back
monitor      what is unusual about a key's questions, or a cohort's, as numbers; prada has the distances and their test
false_alarms how often honest users look so, measured
honest       honest users, simulated: who asks what, and when; a day of theirs at the vault
toll         what a policy takes from them: labels, confidences, time
ledger       SQLite: one record per request, written by one thread, answered after it is committed
victims      the models behind the door
door         one path for a question: key, limit, monitor, answer, policy, ledger, reply; no network
service      the vault around it, in a folder: keys, policy, what an instructor may do
keyring      every key of a class; who is asking, and may they?
watchers     who is watched, and which alarms are on
books        counts for the page, in memory as in the ledger; snapshot makes one dict of them
reply        an answer on its way out, and as the ledger keeps it
refusal      why a question gets no answer, in words and as a status
client       the oracle: a function x -> answers, over HTTP or in this process
app          the API's routes; reading (what a request says), replies (what they share), openapi (the API, described)
desk         what an instructor tells a vault
serve        uvicorn and httptools, with deadlines for whoever is slow to say what they want
local        a vault of one's own, in a child process, for a notebook or a test
rules        the rules of engagement
tables       the ledger as CSV, and the SQL behind each
page         what the class sees live, and the instructor's view; static/ is what a browser gets
words        a policy in words
leaderboard  how close each copy came, and what the policy cost; submission reads a copy's file
"""
