"""The keys of the main screen. Each has an id, by which a keymap names it, and a tooltip, which the help shows."""

from textual.binding import Binding


def _hidden(keys: str, action: str, name: str, key_id: str, tooltip: str) -> Binding:
    return Binding(keys, action, name, show=False, id=key_id, tooltip=tooltip)


MAIN = (
    # Priority: done as the key arrives, so that the letters that follow at once are typed into the line.
    Binding("slash", "filter", "Filter", key_display="/", priority=True, id="filter", tooltip="Filter; esc clears"),
    Binding("f", "find", "Find", show=False, priority=True, id="find", tooltip="Go to the next row with a text"),
    _hidden("p", "presets", "Presets", "presets", "Choose a ready filter, such as order flips"),
    _hidden("n", "next_hit(1)", "Next hit", "find.next", "The next row with the text"),
    _hidden("N", "next_hit(-1)", "Hit before", "find.previous", "The row with the text before this one"),
    Binding("s", "sort", "Sort", id="sort", tooltip="Sort by the selected column; again: reverse"),
    _hidden("S", "reverse", "Reverse", "reverse", "Turn the order of the sort round"),
    _hidden("F", "frequencies", "Counts", "frequencies", "How often each value of the column occurs"),
    _hidden("I", "statistics", "Statistics", "statistics", "Figures, agreement, a histogram of what is shown"),
    Binding("v", "kind", "View", id="kind", tooltip="Pairs, comparisons, judgments, answers, or all"),
    _hidden("enter", "open", "Read", "open", "Hide the table to read the texts, or show it again"),
    _hidden("left_square_bracket,K", "step(-1)", "Previous", "previous", "The row before, from any pane"),
    _hidden("right_square_bracket,J", "step(1)", "Next", "next", "The next row, from any pane"),
    Binding("d", "diff", "Diff", id="diff", tooltip="Mark the words in which the answers differ"),
    Binding("c", "candidates", "Answers", id="candidates", tooltip="All answers to this prompt with their scores"),
    _hidden("i", "iterations", "Iterations", "iterations", "The answers of each iteration to this prompt"),
    Binding("1", "vote(1)", "Vote", key_display="1 2 3", id="vote.first", tooltip="Vote for the first answer"),
    _hidden("2", "vote(3)", "Tie", "vote.tie", "Vote for a tie"),
    _hidden("3", "vote(2)", "Second", "vote.second", "Vote for the second answer"),
    _hidden("u", "undo", "Undo", "vote.undo", "Take your latest vote back"),
    _hidden("m", "note", "Note", "vote.note", "Write a note to your vote"),
    _hidden("b", "blind", "Blind", "blind", "Vote blind: verdict hidden, sides shuffled"),
    _hidden("w", "queue", "Queue", "queue", "What to vote on next: at random, uncertain, in dispute"),
    _hidden("r", "rejudge", "Judge again", "rejudge", "Ask another judge about the row; says first what it costs"),
    _hidden("e", "export", "Export", "export", "Write what is shown to a file"),
    _hidden("y", "copy", "Copy", "copy", "Copy a text, over ssh too (OSC 52)"),
    _hidden("o", "pager", "Pager", "pager", "Open the row in $PAGER"),
    _hidden("t", "theme", "Theme", "theme", "Dark, light, high contrast"),
    _hidden("escape", "leave", "Back", "back", "Back to the table; there: clear the filter"),
    Binding("question_mark", "help", "Help", key_display="?", id="help", tooltip="Show all keys"),
    Binding("q", "quit", "Quit", id="quit", tooltip="Quit"),
)
