"""The command `course vault`.

floor 0   folder   a class's folder: who may write in it, what is carried to a vault that runs
floor 1   keys     course vault key
          serving  course vault serve
floor 2   verbs    the subcommands
"""
