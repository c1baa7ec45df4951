"""The vault's server as it is served: the API with the page and the leaderboard mounted on it."""

from course_lib.vault.board import leaderboard
from course_lib.vault.http.app import App
from course_lib.vault.page import routes


def for_service(service, control=None, lan=False):
    """The App of a service, with its page and its leaderboard."""
    board = leaderboard.Leaderboard(service)
    pages = routes.routes(service, board, stop=lambda: app.stop())
    app = App(service, [*pages, *leaderboard.routes(board)], control, lan)
    return app
