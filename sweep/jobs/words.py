"""What a job says in its log for the one who submitted it; people read it, too."""

CHECKED = "checked: the cluster has all that this sweep needs"
ENDED = (
    "ending: nothing runs any more"  # unless it was killed; an error comes behind it
)
STOPPED = "stopped: nothing is left running, and submitting it again goes on from here"
