"""The floor: the types and ports that every stage speaks. Standard library only.

Times are Unix seconds (float, UTC) everywhere inside; RFC 3339 appears only at the edges.

    signals    what is measured: Sample (a number), Event (an ECS document), Batch
    slos       the promise: SloRow (one row of the matrix), SloStatus (its judgement)
    foresight  what the models say: Verdict, Anomaly, Forecast, and the port Watcher
    incidents  what is wrong: Finding, Incident
    actions    what is done about it: Action, Preview, Approval, Run, Verification
    ports      Protocols of what reaches outside: clock, collectors, stores, runner, detectors
    stages     Protocols between the stages: judge, correlator, repair, observer
    counters   how much a counter rose, restarts included
    times      RFC 3339, durations and calendar months
    errors     the error tree
"""
