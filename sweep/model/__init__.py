"""The best model of a study: scored, trained anew, exported, registered, used."""
