"""The command `course`. It starts with the standard library alone.

floor 0   refused      how a command says that it cannot go on
          train_flags  what course train is told
          workspace    the learner's own copies of the lessons, and their progress in them
floor 1   packages     pip, and what its failures mean
          train        course train: a teacher, a student or a student alone
          lab          JupyterLab, started for the workspace
floor 2   environment  the course's Python: found, or made once
floor 3   vault/       course vault
floor 4   cli          the subcommands: each is its help, its flags, and a few calls
"""
