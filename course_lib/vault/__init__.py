"""The vault: a model behind a door that answers questions, keeps count, and is defended. One process serves a class.

floor 0   refusal    why a question gets no answer, in words and as a status
          addresses  which are private, which is this computer, how much of one is written down
          limits     a token bucket by rows, on a clock that never goes back
          policy/    the one file that a team edits; what it does to an answer; in words
          watch/     what is unusual about a key's questions, or a cohort's; which alarms are on
          answer     an answer on its way out, and as the ledger keeps it
floor 1   ledger/    one record per request, written by one thread, answered after it is committed; all SQL
          keyring    keys, their rules; who is asking, and may they?
          question   rows of numbers for a model, or which sentence
          in_force   the policy, paused or closed, and what follows for a key
          honest/    honest users, simulated; how often they look unusual; what a policy takes from them
floor 2   victims    the models behind the door
          door       one path for a question: key, limit, monitor, answer, policy, ledger, reply; no network
          state      what the page shows and what a key may know, as dicts
floor 3   service    a vault in a folder: its door, and around it keys, policy, what an instructor may do
floor 4   http/      the API: requests, replies, routes, their description, the server
floor 5   board/     how close each copy came, and what the policy cost
          page/      what the class sees live, and the instructor's view
floor 6   client/    the oracle: a function x -> answers, over HTTP or in this process
          site       the API with page and board, as it is served
floor 7   local      a vault of one's own, in a child process, for a notebook or a test
"""
