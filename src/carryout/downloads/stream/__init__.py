"""The doors of downloads: one decides, one sends (docs/delivery.md)."""

from carryout.downloads.stream.deciding import DecidingDoor
from carryout.downloads.stream.entrance import Entrance
from carryout.downloads.stream.handover import Handover
from carryout.downloads.stream.replies import STATUS
from carryout.downloads.stream.sending import SendingDoor

__all__ = ["STATUS", "DecidingDoor", "Entrance", "Handover", "SendingDoor"]
