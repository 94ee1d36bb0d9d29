"""HTTP plumbing: the protocol, the edge, problems, metrics, health, the contract. It knows nothing of the business."""
