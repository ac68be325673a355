"""The commands.  Each imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import typer

from bench import exit_codes
from bench.commands import (
    check_method,
    compare,
    data,
    doctor,
    features,
    ls,
    new,
    qa,
    report,
    reproduce,
    run,
    status,
    trial,
    tune,
)

EPILOG = "Exit statuses:\n\n" + "\n\n".join(
    f"{code}: {meaning}" for code, meaning in exit_codes.MEANING.items()
)

app = typer.Typer(
    name="bench",
    help="Semi-supervised action recognition, compared honestly. Example: python -m bench run --suite smoke",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("plan")(run.plan)
app.command("status")(status.status)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("trial")(trial.trial)
app.command("reproduce")(reproduce.reproduce)
app.command("tune")(tune.tune)
app.command("features")(features.features)
app.command("probe")(features.probe)
app.command("qa")(qa.qa)
app.command("check-method")(check_method.check_method)
app.command("doctor")(doctor.doctor)
app.add_typer(ls.app, name="ls")
app.add_typer(data.app, name="data")
new.app.command("questions")(qa.new_questions)
app.add_typer(new.app, name="new")
