"""Conversations to learn answers from: files, questions about functions, labelled sentences; packed batches."""

from allyouneed.data.chats.chats import Chat as Chat
from allyouneed.data.chats.chats import Chats as Chats

__all__ = ["Chat", "Chats"]
