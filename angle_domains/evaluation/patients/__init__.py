"""What a report tells of patients beside a policy's value: who they were, what they got, how groups of them fare."""
