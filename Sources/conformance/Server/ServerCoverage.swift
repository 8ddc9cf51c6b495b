/// What no case against a server can show, and why.
enum ServerCoverage {
    private static let client = "a rule for clients"

    static let invisible: [String: String] = [
        "2.3-3": client, "3.2-1": client, "3.6-6": client, "3.6-11": client, "3.6-12": client, "4.2-3": client,
        "4.9-2": client, "4.12-7": client, "5.2-1": client, "5.2-2": client, "5.2-3": client, "5.5-3": client,
        "5.6-1": client, "5.6-2": client, "5.8-2": client, "6-8": client, "7.2-5": client, "7.3-5": client,
        "7.4-2": client, "7.4-3": client, "7.7-1": client, "7.7-2": client, "7.7-3": client, "7.7-4": client,
        "3.7-5": client, "3.7-7": client, "3.8-10": client, "5.13-1": client, "7.7-5": client, "7.7-6": client,
        "7.7-7": client, "7.7-8": client, "7.7-9": client,
        "3.2-6": "on one machine the delay of small segments does not show",
        "5.1-2": "the server would have to be stopped for a while",
        "5.11-1": "the clock of the machine would have to be set",
        "5.11-2": "the server would have to be stopped for a while",
        "5.11-3": "the server would have to be stopped for a while",
        "5.11-4": "the machine would have to be suspended",
        "5.11-5": "the machine would have to be suspended",
        "7.4-1": "the server would have to be told to stop",
        "7.4-7": "the server would have to be told to stop",
        "7.4-8": "the server would have to be told to stop",
        "11-1": "the time of a comparison does not show through a network",
        "11-2": "it is about the server's log",
        "11-3": "it is about the server's log",
        "11-4": "what the peer is not to know, no case can know",
        "11-5": "it is about the server's memory",
        "12-10": "what a server judges by addresses is not said on the wire",
        "12-11": "whom the server believes is its configuration",
        "12-12": "what a name is good for is not said on the wire",
    ]
}
