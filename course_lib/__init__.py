"""The helper library of the course "Distillation, hands on".

A file imports only from floors below its own, save where an arrow says so; tests/test_floor_plan.py keeps it true.

ground   machine    what this computer has and how long a lesson takes on it (starts without torch)   -> doctor, download
         doctor     the report, and its rows about software and folders (standard library alone)   -> download
         data       data sets as tensors; splits                 -> sources, download
         arena      who owns which pictures (victim, thief, judge), and copies of them   -> data
         sources    where each data set comes from, and how its files are read   -> download, progress
         download   a file from the first mirror that has it: resumed, checked, then moved into place   -> progress
         models     teachers and students; count, save, load, train once   -> download
         convnets   networks for pictures: CIFAR's ResNets, a quick teacher, torchvision's by name
         views      crops and mirrors of a picture, by number
         checkpoint  a training's state in a file, for the same training only
         processes  one process, or several that train one model together   -> inputs
         losses     tensors in, one number out
         museum     lesson 03's exhibits: losses and set-ups with a defect, under letters
         measure    quality, with intervals and a verdict
         cost       FLOPs, bytes, seconds
         record     a measurement with its hardware, versions and date, as JSON
         trial      run an answer that may fail or never return; say in one sentence what happened
         exercises  check, hint, progress                        -> trial
         workspace  the learner's own copy of the lessons, and their progress in it   -> exercises
         progress   one line that says how far a long job is
         inputs     what fit and fit_many are given, checked in words
         many       students of one shape trained as one, through torch.func
first    train      fit, fit_many (all seeds at once), predict   -> loop
         loop       the training loop; each thing that makes it fast is a line that can be switched
         cache      the teacher's answers: asked online, or kept in a file by (picture, view)
         plots      the house style; one colour per role         -> measure
second   live       show(fig, alt), sliders over pictures
         checks/    one module per lesson                        -> exercises, attack
         attack     copying a model of which only answers are known, and judging the copy
         vault/     the model behind a door: keys, limits, a ledger, a monitor, one policy file
top      __main__   the command `course`; behind it cli, lab, train_command, vault_command, environment (the course's Python)   -> anything
"""
