"""The vault: a model behind a door that answers questions, keeps count, and is defended. One process serves a class.

keys         what a key looks like; hashed, compared
policy       the one file that a team edits: what leaves, how much, for whom, what an alarm does
controls     what is done to an answer before it leaves, each after its paper's formula
limits       a token bucket by rows, on a clock that never goes back
monitor      what is unusual about a key's questions, or a cohort's, as numbers
honest       honest users, simulated: who asks what, and when; a day of theirs at the vault
toll         what a policy takes from them: labels, confidences, time
ledger       SQLite: one record per request, written by one thread, answered after it is committed
victims      the models behind the door
service      one path for a question: key, limit, monitor, answer, policy, ledger, reply; no network
refusal      why a question gets no answer, in words and as a status
"""
