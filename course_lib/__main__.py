"""The command `course`."""


def main():
    raise SystemExit("not built yet")


if __name__ == "__main__":
    main()
