"""Many runs: plans, who makes which run where, and what they came to."""
