"""From a wrong gradient to the mistake: probes, matching, verdicts and their rendering."""
