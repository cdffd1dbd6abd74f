"""Write the scorecard's rows as CSV for a spreadsheet."""

from windtunnel import Report, plugin


@plugin("reports", "rows")
class Csv(Report):
    suffix = "rows.csv"

    def render(self, scorecard):
        return "".join(f"{r.model},{r.item},{r.metric},{r.estimate.value}\n" for r in scorecard.rows)


# mypy: ignore-errors
