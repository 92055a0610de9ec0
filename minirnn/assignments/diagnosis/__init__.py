"""The diagnosis of wrong gradients: probes, matching, verdicts and reports."""
