"""The command `course`. It starts with the standard library alone.

floor 0   environment  the course's Python: found, or made once
          workspace    the learner's own copies of the lessons, and their progress in them
          train        course train: a teacher, a student or a student alone
floor 1   lab          JupyterLab, started for the workspace
          vault/       course vault
floor 2   cli          the subcommands: each is its help, its flags, and a few calls
"""
