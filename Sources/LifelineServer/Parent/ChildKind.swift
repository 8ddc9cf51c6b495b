/// The kinds of process that the parent forks. `ChildLauncher.launch` runs them.
///
/// | kind | inherits, beside its slot, log, handler and tokens | ends at | where it dies |
/// |---|---|---|---|
/// | connection | its client's socket | a command in its slot, and SIGTERM | "child died"; the connection is lost |
/// | shared | the receiving end of its channel | the end of its channel | "child died"; its connections are lost |
/// | router | the router's end of the lobby; no slot | SIGKILL, when every connection is over | "router died"; it is forked anew |
/// | pooled | the receiving end of its channel | the end of its channel | "waiting child died"; the pool pauses |
///
/// Every kind closes all of `ParentDescriptors`. A pooled process that has a connection is one of the first row.
enum ChildKind {
    /// Serves this connection and ends.
    case connection(ConnectionAssignment)
    /// Waits for connections, and serves one after another.
    case pooled
    /// Waits for connections, and serves several at a time (`SharedProcess`). Its own slot has a row of `ProcessBoard`.
    case shared
    /// Carries messages between the connections of all other processes (`RouterProcess`).
    case router
}
