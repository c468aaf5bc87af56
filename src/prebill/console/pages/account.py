"""Signing in and out, choosing a password; the page of a problem."""

from prebill.api.problems import Problem
from prebill.console.pages.queue import viewer_of
from prebill.console.sessions import Visitor
from prebill.console.views import PasswordPage, ProblemPage, SignInPage
from prebill.store.users import MIN_PASSWORD_LENGTH


def sign_in_page(
    form_token: str, *, next_path: str, email: str = "", error: str = ""
) -> SignInPage:
    """Ask who it is."""
    return SignInPage("Sign in", None, form_token, next_path, email, error)


def password_page(visitor: Visitor, error: str = "") -> PasswordPage:
    """Ask for the new password."""
    return PasswordPage(
        title="Password",
        viewer=viewer_of(visitor),
        is_forced=visitor.actor.must_change_password,
        min_length=MIN_PASSWORD_LENGTH,
        error=error,
    )


def problem_page(problem: Problem) -> ProblemPage:
    """Say what went wrong and what to do."""
    return ProblemPage(
        title=problem.title,
        viewer=None,
        status=problem.status,
        sentence=problem.detail,
        code=problem.code,
        back_href="/queue",
    )
