"""What a job says in its log for the one who submitted it; people read it, too."""

CHECKED = "checked: the cluster has all that this sweep needs"
STOPPED = "stopped: nothing is left running, and submitting it again goes on from here"
