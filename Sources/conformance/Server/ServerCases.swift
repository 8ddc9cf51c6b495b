extension Case<ServerBench> {
    /// All cases against servers, in the order of Protocol.md.
    static let all: [Case] = section3 + section4 + section5 + section6 + section7 + section9 + section12
}
